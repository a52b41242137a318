// Above and below the table: sections of objects, the confusion matrix, and the model card.
"use strict";

galcnn.overview = (() => {
  const { element } = galcnn;
  const percent = (share) => `${Math.round(100 * share)} %`;

  // --- sections --------------------------------------------------------------------------------------

  function said(section, row) {
    if (section.key === "mistakes") {
      const truth = galcnn.value("true_class", row);
      return [`✗ ${galcnn.value("class", row)}`, `true: ${truth} (p ${galcnn.value(`p_${truth}`, row).toFixed(3)})`];
    }
    return [galcnn.value("class", row) || "no prediction", `${section.column} ${galcnn.number(galcnn.value(section.column, row), 3)}`];
  }

  function section(content) {
    const cards = content.rows.map((row, place) => element("button", {
      type: "button", class: "card", click: () => galcnn.viewer.open(content.rows, place),
      "aria-label": `${galcnn.id(row)}: ${said(content, row).join(", ")}`,
    }, element("span", { class: "later", "data-row": row }), ...said(content, row).map((text) => element("span", {}, text))));
    const sort = { mistakes: [{ answer: "wrong" }, null], uncertain: [{}, { name: "entropy", down: true }], unlike: [{}, { name: "distance", down: true }] }[content.key];
    const all = content.rows.length ? element("button", { type: "button", class: "plain", click: () => galcnn.table.select(...sort) }, "Show in the table") : null;
    return element("section", { "data-section": content.key, "aria-label": content.title },
      element("h2", {}, content.title), element("p", { class: "muted" }, content.ranking, " ", all),
      content.rows.length ? element("div", { class: "cards" }, ...cards) : null);
  }

  /** Load pictures of cards when they come near the visible part of the page. */
  function lazily(root) {
    const watcher = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        watcher.unobserve(target);
        target.replaceWith(galcnn.thumbnail(Number(target.dataset.row)));
      }
    }, { rootMargin: "100px" });
    for (const place of root.querySelectorAll(".later")) watcher.observe(place);
  }

  // --- confusion -------------------------------------------------------------------------------------

  function confusion() {
    const { confusion: counts, classes } = galcnnReport;
    if (!counts.length) return null;
    const rows = counts.map((row, i) => {
      const total = row.reduce((sum, count) => sum + count, 0);
      return element("tr", {}, element("th", { scope: "row" }, classes[i]), ...row.map((count, j) => {
        const share = total ? count / total : 0;
        const cell = element("button", {
          type: "button", class: share > 0.55 ? "full" : "", click: () => galcnn.table.select({ truth: classes[i], said: classes[j] }),
          "aria-label": `${count} of true class ${classes[i]} are called ${classes[j]}; show them`,
        }, element("strong", {}, total ? percent(share) : "–"), String(count));
        cell.style.setProperty("--share", share);
        return element("td", {}, cell);
      }));
    });
    return element("section", { class: "confusion", "aria-label": "Confusion matrix" }, element("h2", {}, "Confusion matrix"),
      element("p", { class: "muted" }, "Rows: true class, with its shares. Columns: predicted class. A cell shows its objects in the table."),
      element("div", { class: "scrolls" }, element("table", {}, element("thead", {}, element("tr", {}, element("td", {}), ...classes.map((name) => element("th", { scope: "col" }, name)))),
        element("tbody", {}, ...rows))));
  }

  // --- model card ------------------------------------------------------------------------------------

  const plain = (value) => (value === null || value === "" || value === undefined ? "–"
    : Array.isArray(value) ? value.map(plain).join(", ") : typeof value === "object" ? Object.entries(value).map(([key, own]) => `${key}: ${plain(own)}`).join("; ")
      : typeof value === "number" ? galcnn.number(value) : String(value));
  const known = (facts) => element("dl", { class: "known" }, ...Object.entries(facts).map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, plain(value)))));
  const details = (title, content) => element("details", {}, element("summary", {}, title), element("pre", {}, JSON.stringify(content, null, 2)));

  function metrics(card) {
    const rows = Object.entries(card.metrics).flatMap(([set, scores]) => (scores === null || typeof scores !== "object" ? []
      : Object.entries(scores).filter(([, score]) => Number.isFinite(score?.value)).map(([name, { value, low, high, n }]) => {
        const range = element("span", { class: "interval" });
        if (low >= 0 && high <= 1) for (const [end, at] of [["--low", low], ["--high", high], ["--value", value]]) range.style.setProperty(end, at);
        else range.hidden = true;
        return element("tr", {}, element("th", { scope: "row" }, name.replaceAll("_", " ")), element("td", {}, set), element("td", { class: "number" }, galcnn.number(value, 3)),
          element("td", { class: "number" }, Number.isFinite(low) ? `${galcnn.number(low, 3)} – ${galcnn.number(high, 3)}` : ""), element("td", {}, range), element("td", { class: "number" }, n ?? ""));
      })));
    if (!rows.length) return null;
    return element("div", {}, element("h3", {}, "Scores"), element("p", { class: "muted" }, `Intervals: ${plain(card.metrics.interval)}.`),
      element("div", { class: "scrolls" }, element("table", { class: "facts" }, element("thead", {}, element("tr", {}, ...["score", "set", "value", "interval", "0 to 1", "n"].map((name) => element("th", { scope: "col" }, name)))), element("tbody", {}, ...rows))));
  }

  function counts(card) {
    const sets = Object.entries(card.data.counts ?? {}).filter(([, own]) => own !== null && typeof own === "object");
    if (!sets.length) return null;
    const names = [...new Set(sets.flatMap(([, own]) => Object.keys(own)))];
    return element("div", {}, element("h3", {}, "Galaxies"), element("div", { class: "scrolls" }, element("table", { class: "facts" },
      element("thead", {}, element("tr", {}, element("td", {}), ...names.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...sets.map(([set, own]) => element("tr", {}, element("th", { scope: "row" }, set), ...names.map((name) => element("td", { class: "number" }, own[name] ?? ""))))))));
  }

  function curves(history) {
    const pairs = Object.keys(history).filter((name) => history[`val_${name}`]);
    if (!pairs.length) return null;
    return element("div", {}, element("h3", {}, "Training"), element("p", { class: "muted" }, "Solid: training set, with its regularisation. Dashed: validation set."),
      element("div", { class: "curves" }, ...pairs.map((name) => galcnn.curve(name, history[name], history[`val_${name}`]))));
  }

  function card() {
    const { card: own, run, history } = galcnnReport;
    const place = document.getElementById("card");
    if (own) {
      const { counts: _, ...data } = own.data;
      place.append(known({ name: own.name, classes: own.classes.length ? own.classes : "vote fractions", trained: own.created, data, images: own.inputs, "share of each class in training": own.class_prior, versions: own.versions, "SHA-256": own.model_sha256 }));
      place.append(...[counts(own), metrics(own), history ? curves(history) : null].filter(Boolean));
      place.append(details("All settings", own.settings));
    } else {
      place.append(element("p", { class: "muted" }, "The card of the model is not among the sources: give the folder of galcnn train, too, to see its data, scores and training."));
    }
    if (Object.keys(run).length) place.append(element("h3", {}, "Run"), known(run));
  }

  function start() {
    const root = document.getElementById("overview");
    const matrix = confusion();
    root.append(...galcnnReport.sections.map(section), ...(matrix ? [matrix] : []));
    lazily(root);
    card();
  }

  return { start };
})();

/** A learning curve as SVG: two lines over epochs. */
galcnn.curve = (name, training, validation) => {
  const [width, height, left, bottom] = [320, 170, 44, 26];
  const svg = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const values = [...training, ...validation].filter(Number.isFinite);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (i) => left + ((width - left - 6) * i) / Math.max(1, training.length - 1);
  const y = (value) => height - bottom - ((height - bottom - 8) * (value - low)) / (high - low || 1);
  // Epochs without a value leave a gap; h0 draws a single point.
  const line = (own) => own.map((value, i) => (Number.isFinite(value) ? `${Number.isFinite(own[i - 1]) ? "L" : "M"}${x(i).toFixed(1)},${y(value).toFixed(1)}h0` : "")).join("");
  const text = (px, py, words, anchor) => svg("text", { x: px, y: py, "text-anchor": anchor }, words);
  return galcnn.element("figure", {}, svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name} of training and validation over ${training.length} epochs` },
    svg("path", { d: `M${left} 4V${height - bottom}H${width - 4}`, class: "axis" }),
    text(left - 6, y(high) + 4, galcnn.number(high, 3), "end"), text(left - 6, y(low) + 2, galcnn.number(low, 3), "end"),
    text(left, height - 8, "epoch 1", "start"), text(width - 4, height - 8, String(training.length), "end"),
    svg("path", { d: line(training), class: "line" }), svg("path", { d: line(validation), class: "line dashed" })),
  galcnn.element("figcaption", {}, name));
};
