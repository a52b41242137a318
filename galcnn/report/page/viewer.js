// One object in a dialog: the galaxy beside its maps, with switches, opacity, zoom and the sky.
"use strict";

galcnn.viewer = (() => {
  const { element } = galcnn;
  const dialog = document.getElementById("viewer");
  const MOST_ZOOM = 32;
  const at = { order: [], place: 0, row: -1, content: null, map: null };
  const wish = { method: null, target: null, band: null }; // preferred; kept between objects
  const view = { zoom: 1, x: 0, y: 0, u: 0.5, v: 0.5 }; // shift in sides of the pane; cross from the lower left
  const part = {};

  // --- fixed elements --------------------------------------------------------------------------------

  function pane(name, label) {
    const plane = element("div", { class: "plane" });
    const cross = element("div", { class: "cross" });
    const made = element("div", { class: "pane", tabindex: 0, role: "img", "data-pane": name, "aria-label": label }, plane, cross);
    made.addEventListener("pointermove", onPointer);
    made.addEventListener("pointerdown", (event) => made.setPointerCapture(event.pointerId));
    made.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = made.getBoundingClientRect();
      zoomBy(event.deltaY < 0 ? 1.25 : 0.8, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    }, { passive: false });
    return { made, plane, cross };
  }

  function build() {
    part.title = element("h2", { id: "viewer-title", tabindex: -1 });
    part.place = element("span", { class: "muted" });
    const button = (text, label, click) => element("button", { type: "button", "aria-label": label, title: label, click }, text);
    part.galaxy = pane("galaxy", "The galaxy. Arrow keys move the cross, plus and minus zoom.");
    part.map = pane("map", "The map over the galaxy. Arrow keys move the cross, plus and minus zoom.");
    part.image = element("img", { alt: "" });
    part.under = element("img", { alt: "" });
    part.canvas = element("canvas");
    part.galaxy.plane.append(part.image);
    part.map.plane.append(part.under, part.canvas);
    part.scale = element("div", { class: "scale" });
    part.compass = element("div", { class: "compass" });
    part.galaxy.made.append(part.scale, part.compass);
    part.readout = element("dl", { class: "readout" });
    part.opacity = element("input", { type: "range", min: 0, max: 100, value: 100, id: "opacity", input: dress });
    part.shown = element("output", { for: "opacity" });
    part.zoom = element("output", {});
    for (const name of ["method", "target", "band"]) part[name] = element("fieldset", { class: "switch", "data-switch": name });
    part.bar = element("div", { class: "bar" });
    part.controls = element("div", { class: "controls" }, part.method, part.target, part.band);
    part.note = element("p", { class: "note", role: "status" });
    part.looks = element("div", { class: "looks" },
      element("div", { class: "panes" },
        element("div", { class: "beside" }, part.galaxy.made,
          element("span", { class: "zoom" }, button("−", "zoom out (minus)", () => zoomBy(0.5)), part.zoom,
            button("+", "zoom in (plus)", () => zoomBy(2)), button("Fit", "show all of the picture (0)", fit)),
          part.readout),
        part.right = element("div", { class: "beside" }, part.map.made, part.bar,
          element("label", { class: "slider" }, "Map opacity", part.opacity, part.shown))),
      part.controls);
    part.facts = element("div", { class: "facts" });
    dialog.append(
      element("header", {}, part.title, part.place,
        element("span", { class: "steps" }, button("‹", "previous object (left arrow)", () => step(-1)),
          button("›", "next object (right arrow)", () => step(1)), button("✕", "close (Escape)", () => dialog.close()))),
      element("div", { class: "inside" }, element("div", {}, part.note, part.looks), part.facts));
    dialog.addEventListener("keydown", onKey);
    dialog.addEventListener("close", () => {
      if (at.order === galcnn.table.order) galcnn.table.go(at.place);
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }

  // --- object ------------------------------------------------------------------------------------------

  function open(order, place) {
    if (!part.title) build();
    at.order = order;
    show(place);
    if (!dialog.open) dialog.showModal();
    part.title.focus();
  }

  function step(by) {
    const place = at.place + by;
    if (place >= 0 && place < at.order.length) show(place);
  }

  function show(place) {
    at.place = place;
    at.row = at.order[place];
    at.content = null;
    part.title.textContent = galcnn.id(at.row);
    part.place.textContent = `${(place + 1).toLocaleString("en")} of ${at.order.length.toLocaleString("en")}`;
    part.looks.hidden = true;
    say(galcnnReport.thumbnails.places[at.row] < 0
      ? `No picture. ${galcnnReport.troubles[at.row] ?? "Neither layers nor an image of it were given: see --images."}` : "");
    describe();
    const row = at.row;
    galcnn.load(row).then((content) => {
      if (row !== at.row || !content) return;
      at.content = content;
      label(content.maps);
      Object.assign(view, { zoom: 1, x: 0, y: 0, u: 0.5, v: 0.5 });
      part.looks.hidden = false;
      say(content.maps.length ? "" : "No maps: galcnn explain makes them.");
      choose();
    }, (error) => row === at.row && say(`No picture: ${error.message}.`));
  }

  function say(text) {
    part.note.textContent = text;
    part.note.hidden = text === "";
  }

  /** Labels that distinguish maps: the model if there are several, a number if all else is equal. */
  function label(maps) {
    const seen = new Map();
    for (const map of maps) {
      const name = map.model ? `${map.method} · ${map.model}` : map.method;
      const key = JSON.stringify([name, map.target]);
      const number = (seen.get(key) ?? 0) + 1;
      seen.set(key, number);
      map.label = number > 1 ? `${name} (${number})` : name;
    }
  }

  // --- map ----------------------------------------------------------------------------------------------

  /** Draw the preferred method, target and band, if the object has them. */
  function choose() {
    const { maps, pictures } = at.content;
    const methods = [...new Set(maps.map((map) => map.label))];
    const method = pick("method", "Method", methods);
    const targets = maps.filter((map) => map.label === method).map((map) => map.target);
    const target = pick("target", "Target", targets, galcnn.value("class", at.row));
    at.map = maps.find((map) => map.label === method && map.target === target) ?? null;
    const band = pick("band", "Band", at.map ? at.map.planes.map((plane) => plane.band) : []);
    at.plane = at.map?.planes.find((plane) => plane.band === band) ?? null;
    at.picture = pictures[at.map?.picture ?? 0];
    part.right.hidden = part.controls.hidden = !at.map;
    draw();
    describe();
  }

  /** A row of radio buttons; it is not rebuilt if its options are the same. */
  function pick(name, title, values, fallback) {
    const box = part[name];
    const chosen = [wish[name], fallback, values[0]].find((value) => values.includes(value));
    if (JSON.stringify(values) !== box.dataset.values) {
      box.dataset.values = JSON.stringify(values);
      box.replaceChildren(element("legend", {}, title), ...values.map((value) => element("label", {},
        element("input", { type: "radio", name: `switch-${name}`, value, change: () => {
          wish[name] = value;
          choose();
        } }), element("span", {}, value))));
    }
    for (const input of box.querySelectorAll("input")) input.checked = input.value === chosen;
    box.hidden = values.length === 0 || (name === "band" && values.length < 2);
    return chosen;
  }

  function decoded(plane) {
    const bytes = Uint8Array.from(atob(plane.data), (letter) => letter.charCodeAt(0));
    return new Int16Array(bytes.buffer);
  }

  function draw() {
    const [ny, nx] = at.picture.shape;
    for (const image of [part.image, part.under]) image.src = at.picture.png;
    for (const { made } of [part.galaxy, part.map]) made.style.aspectRatio = `${nx} / ${ny}`;
    if (at.plane) {
      const { signed, none } = galcnnReport.colours;
      at.values = decoded(at.plane);
      Object.assign(part.canvas, { width: nx, height: ny });
      const context = part.canvas.getContext("2d");
      const pixels = context.createImageData(nx, ny);
      const middle = (signed.length - 1) / 2;
      at.values.forEach((value, i) => {
        const share = Math.min(1, Math.max(-1, (value * at.plane.scale) / at.plane.limit));
        const [red, green, blue] = value === -32768 ? none : signed[Math.round((share + 1) * middle)];
        pixels.data.set([red, green, blue, 255], 4 * i);
      });
      context.putImageData(pixels, 0, 0);
      drawBar();
    }
    dress();
  }

  function drawBar() {
    const { signed } = galcnnReport.colours;
    const strip = element("canvas", { width: signed.length, height: 1 });
    const context = strip.getContext("2d");
    const pixels = context.createImageData(signed.length, 1);
    signed.forEach(([red, green, blue], i) => pixels.data.set([red, green, blue, 255], 4 * i));
    context.putImageData(pixels, 0, 0);
    const { limit } = at.plane;
    part.bar.replaceChildren(strip,
      element("span", { class: "ends" }, element("span", {}, galcnn.number(-limit, 2)), element("span", {}, "0"), element("span", {}, galcnn.number(limit, 2))),
      element("span", { class: "muted" }, `${at.map.unit}; red: more of it raises the target. Grey: no value.`));
  }

  // --- view ----------------------------------------------------------------------------------------------

  /** Apply opacity and zoom, and show the cross with its values. */
  function dress() {
    part.canvas.style.opacity = part.opacity.value / 100;
    part.shown.textContent = `${part.opacity.value} %`;
    part.zoom.textContent = `${view.zoom.toFixed(view.zoom < 10 ? 1 : 0)}×`;
    for (const { plane, cross } of [part.galaxy, part.map]) {
      plane.style.transform = `translate(${100 * view.x}%, ${100 * view.y}%) scale(${view.zoom})`;
      cross.style.left = `${100 * (view.x + view.u * view.zoom)}%`;
      cross.style.top = `${100 * (view.y + (1 - view.v) * view.zoom)}%`;
    }
    const [ny, nx] = at.picture.shape;
    const { corner, binning, sky } = at.picture;
    const x = corner[1] + view.u * nx * binning + 0.5; // as in DS9: the centre of the first pixel is 1
    const y = corner[0] + view.v * ny * binning + 0.5;
    const facts = { pixel: `${x.toFixed(1)}, ${y.toFixed(1)}` };
    const place = sky && galcnn.sky.position(sky, view.u, view.v);
    facts["RA, Dec"] = place ? galcnn.sky.words(place) : "the image has no WCS";
    if (place) facts["in degrees"] = `${place.ra.toFixed(5)}, ${place.dec.toFixed(5).replace("-", "−")}`;
    if (at.plane) {
      const value = at.values[Math.min(ny - 1, Math.floor((1 - view.v) * ny)) * nx + Math.min(nx - 1, Math.floor(view.u * nx))];
      facts.map = value === -32768 ? "no value" : `${galcnn.number(value * at.plane.scale, 3)} ${at.map.unit}`;
    }
    part.readout.replaceChildren(...Object.entries(facts).map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text))));
    galcnn.sky.mark(part.scale, part.compass, at.picture, view.zoom);
  }

  function zoomBy(factor, atX = 0.5, atY = 0.5) {
    const zoom = Math.min(MOST_ZOOM, Math.max(1, view.zoom * factor));
    const keep = (shift, where) => Math.min(0, Math.max(1 - zoom, where - ((where - shift) * zoom) / view.zoom));
    Object.assign(view, { x: keep(view.x, atX), y: keep(view.y, atY), zoom });
    dress();
  }

  function fit() {
    Object.assign(view, { zoom: 1, x: 0, y: 0 });
    dress();
  }

  function onPointer(event) {
    const box = event.currentTarget.getBoundingClientRect();
    if (event.buttons & 1 && event.currentTarget.hasPointerCapture(event.pointerId)) {
      const within = (shift) => Math.min(0, Math.max(1 - view.zoom, shift));
      view.x = within(view.x + event.movementX / box.width);
      view.y = within(view.y + event.movementY / box.height);
    }
    const inside = (value) => Math.min(1, Math.max(0, value));
    view.u = inside(((event.clientX - box.left) / box.width - view.x) / view.zoom);
    view.v = inside(1 - ((event.clientY - box.top) / box.height - view.y) / view.zoom);
    dress();
  }

  function onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (arrow && event.target.closest(".pane")) {
      const [ny, nx] = at.picture.shape;
      const moved = (share, n, by) => (Math.min(n - 1, Math.max(0, Math.floor(share * n) + by)) + 0.5) / n;
      view.u = moved(view.u, nx, arrow[0]);
      view.v = moved(view.v, ny, arrow[1]);
      dress();
    } else if (arrow && arrow[0] && event.target.tagName !== "INPUT") step(arrow[0]);
    else if (at.content && (event.key === "+" || event.key === "=")) zoomBy(2);
    else if (at.content && event.key === "-") zoomBy(0.5);
    else if (at.content && event.key === "0") fit();
    else return;
    event.preventDefault();
  }

  // --- facts ---------------------------------------------------------------------------------------------

  function describe() {
    const { row } = at;
    const said = galcnn.value("class", row);
    const truth = galcnn.value("true_class", row);
    const right = galcnn.right(row);
    const answer = element("p", { class: "answer" }, said || "no prediction");
    if (right !== null) answer.append(" ", element("span", { class: right ? "right" : "wrong" }, right ? "✓ right" : `✗ it is ${truth}`));
    const shares = galcnnReport.columns.filter((column) => column.kind === "probability" && column.values[row] !== null);
    const bars = element("dl", { class: "shares" }, ...shares.map((column) => {
      const bar = element("span", { class: "fill" });
      bar.style.setProperty("--share", column.values[row]);
      return element("div", {}, element("dt", {}, galcnn.heading(column)), element("dd", {}, bar, element("span", {}, galcnn.text(column, row))));
    }));
    const known = galcnnReport.columns.filter((column) => !["id", "class", "true_class"].includes(column.name) && column.kind !== "probability");
    part.facts.replaceChildren(answer, bars,
      list("", Object.fromEntries(known.map((column) => [galcnn.heading(column), galcnn.text(column, row)]))),
      at.content ? list("Map", at.map?.facts ?? {}) : "",
      at.content ? list("Image", { ...at.picture.facts, ...(at.picture.binning > 1 ? { shown: `means of ${at.picture.binning} × ${at.picture.binning} pixels` } : {}) }) : "",
      element("p", {}, element("a", { href: `#object=${encodeURIComponent(galcnn.id(row).toWellFormed?.() ?? galcnn.id(row))}` }, "Link to this object")));
  }

  function list(title, facts) {
    const told = Object.entries(facts).filter(([, text]) => text !== "");
    if (!told.length) return "";
    return element("section", {}, title ? element("h3", {}, title) : "",
      element("dl", { class: "known" }, ...told.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text)))));
  }

  return { open };
})();
