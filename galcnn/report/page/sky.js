// Positions on the sky, interpolated in a grid of unit vectors, for any projection.
"use strict";

galcnn.sky = (() => {
  const { element } = galcnn;
  const DEGREE = Math.PI / 180;
  const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600]; // arcsec

  /** Unit vector at fractions of width and height from the lower left corner. */
  function vector(grid, u, v) {
    const n = grid.length - 1;
    const i = Math.min(n - 1, Math.max(0, Math.floor(v * n)));
    const j = Math.min(n - 1, Math.max(0, Math.floor(u * n)));
    const a = v * n - i;
    const b = u * n - j;
    const mixed = [0, 1, 2].map((k) =>
      (1 - a) * ((1 - b) * grid[i][j][k] + b * grid[i][j + 1][k]) + a * ((1 - b) * grid[i + 1][j][k] + b * grid[i + 1][j + 1][k]));
    const length = Math.hypot(...mixed);
    return mixed.map((value) => value / length);
  }

  /** ICRS, degrees. */
  function position(grid, u, v) {
    const [x, y, z] = vector(grid, u, v);
    return { ra: (Math.atan2(y, x) / DEGREE + 360) % 360, dec: Math.atan2(z, Math.hypot(x, y)) / DEGREE };
  }

  /** Sexagesimal text, rounded as a whole so that 60 never appears. */
  function sixties(value, digits) {
    const unit = 10 ** digits;
    const whole = Math.round(Math.abs(value) * 3600 * unit);
    const seconds = (whole % (60 * unit)) / unit;
    const minutes = Math.floor(whole / (60 * unit)) % 60;
    const pad = (number, width, fraction = 0) => number.toFixed(fraction).padStart(width, "0");
    return [pad(Math.floor(whole / (3600 * unit)), 2), pad(minutes, 2), pad(seconds, digits + 3, digits)];
  }

  function words({ ra, dec }) {
    const [h, m, s] = sixties(ra / 15, 2);
    const [d, am, as] = sixties(dec, 1);
    return `${h === "24" ? "00" : h}h${m}m${s}s ${dec < 0 ? "−" : "+"}${d}°${am}′${as}″`;
  }

  /** Directions of north and east in the picture, as [right, up] in pixels. */
  function directions(picture) {
    const [ny, nx] = picture.shape;
    const here = vector(picture.sky, 0.5, 0.5);
    const across = vector(picture.sky, 0.5 + 1 / nx, 0.5).map((value, k) => value - here[k]);
    const up = vector(picture.sky, 0.5, 0.5 + 1 / ny).map((value, k) => value - here[k]);
    const flat = Math.hypot(here[0], here[1]) || 1;
    const east = [-here[1] / flat, here[0] / flat, 0];
    const north = [-here[2] * east[1], here[2] * east[0], flat];
    const dot = (one, other) => one.reduce((sum, value, k) => sum + value * other[k], 0);
    const [ex, ey, mx, my] = [dot(across, east), dot(up, east), dot(across, north), dot(up, north)];
    const determinant = ex * my - ey * mx;
    const turned = (x, y) => [x, y].map((value) => value / (Math.hypot(x, y) || 1));
    return { north: turned(-ey / determinant, ex / determinant), east: turned(my / determinant, -mx / determinant) };
  }

  /** Draw the scale bar and the compass of a picture. */
  function mark(scale, compass, picture, zoom) {
    scale.hidden = compass.hidden = !picture.sky;
    if (!picture.sky) return;
    const width = (picture.shape[1] * picture.pixel_scale) / zoom; // arcsec across the pane
    const length = STEPS.filter((step) => step <= width / 3).at(-1) ?? STEPS[0];
    scale.style.width = `${(100 * length) / width}%`;
    scale.textContent = length >= 60 ? `${length / 60}′` : `${length}″`;
    const { north, east } = directions(picture);
    compass.replaceChildren(...[["N", north], ["E", east]].map(([name, [x, y]]) => {
      const arm = element("span", { class: "arm" });
      arm.style.transform = `rotate(${-Math.atan2(y, x) / DEGREE}deg)`;
      const letter = element("span", { class: "letter" }, name);
      letter.style.transform = `translate(${28 * x}px, ${-28 * y}px)`;
      return element("span", { class: "way" }, arm, letter);
    }));
  }

  return { position, words, directions, mark };
})();
