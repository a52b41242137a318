// The table: filtering, sorting, and only the visible rows in the page.
"use strict";

galcnn.table = (() => {
  const ROW = 72; // px, as in report.css
  const SPARE = 4; // rows beyond the edges
  const { element } = galcnn;
  const scroller = document.getElementById("scroller");
  const table = document.getElementById("table");
  const body = table.querySelector("tbody");
  const form = document.getElementById("filters");
  const above = element("tr", { class: "space", "aria-hidden": "true" });
  const below = element("tr", { class: "space", "aria-hidden": "true" });
  const shown = new Map(); // place in the order -> tr
  const fields = {};
  let order = []; // rows that pass the filter, sorted
  let sorting = null; // { name, down }
  let active = 0; // place in the order with keyboard focus

  // --- filter --------------------------------------------------------------------------------------

  function passes(row) {
    const { text, said, truth, answer, flag, ranged, low, high } = fields.values;
    if (text && !galcnnReport.columns.some((column) =>
      (column.kind === "id" || column.kind === "text" || column.kind === "class") && column.values[row].toLowerCase().includes(text))) return false;
    if (said && galcnn.value("class", row) !== said) return false;
    if (truth && galcnn.value("true_class", row) !== truth) return false;
    if (answer && galcnn.right(row) !== (answer === "right")) return false;
    if (flag) {
      const bits = galcnn.value("flag", row) ?? 0;
      if (flag === "none" ? bits !== 0 : flag === "any" ? bits === 0 : (bits & Number(flag)) === 0) return false;
    }
    if (ranged && (low !== null || high !== null)) {
      const value = galcnn.value(ranged, row);
      if (value === null || (low !== null && value < low) || (high !== null && value > high)) return false;
    }
    return true;
  }

  function readFilter() {
    const end = (field) => (field.value.trim() === "" || !Number.isFinite(Number(field.value)) ? null : Number(field.value));
    fields.values = {
      text: fields.text.value.trim().toLowerCase(),
      said: fields.said?.value, truth: fields.truth?.value, answer: fields.answer?.value, flag: fields.flag?.value,
      ranged: fields.ranged?.value, low: end(fields.low), high: end(fields.high),
    };
  }

  function compare(column, down) {
    const { values } = column;
    if (column.kind === "id" || column.kind === "text" || column.kind === "class") {
      const words = new Intl.Collator(undefined, { numeric: true });
      return (a, b) => (values[a] === "") - (values[b] === "") || (down ? -1 : 1) * words.compare(values[a], values[b]) || a - b;
    }
    return (a, b) => (values[a] === null) - (values[b] === null) || (down ? values[b] - values[a] : values[a] - values[b]) || a - b;
  }

  /** Apply filter and order, and scroll to the top. */
  function refresh() {
    readFilter();
    order = [];
    for (let row = 0; row < galcnnReport.n; row++) if (passes(row)) order.push(row);
    if (sorting) order.sort(compare(galcnn.column(sorting.name), sorting.down));
    const all = galcnnReport.n.toLocaleString("en");
    document.getElementById("tally").textContent =
      order.length === galcnnReport.n ? `${all} objects` : `${order.length.toLocaleString("en")} of ${all} objects`;
    document.getElementById("nothing").hidden = order.length > 0;
    table.setAttribute("aria-rowcount", order.length + 1);
    for (const cell of table.querySelectorAll("thead th[data-name]")) {
      const own = sorting?.name === cell.dataset.name;
      cell.setAttribute("aria-sort", own ? (sorting.down ? "descending" : "ascending") : "none");
    }
    active = 0;
    scroller.scrollTop = 0;
    for (const line of shown.values()) line.remove();
    shown.clear();
    draw();
  }

  // --- rows ------------------------------------------------------------------------------------------

  function cell(column, row) {
    const text = galcnn.text(column, row);
    if (column.kind === "probability") {
      const made = element("td", { class: "share" }, element("span", {}, text));
      made.style.setProperty("--share", column.values[row] ?? 0);
      return made;
    }
    if (column.kind === "id") return element("th", { scope: "row", class: "id", title: text }, element("span", {}, text));
    if (column.name === "true_class") {
      const right = galcnn.right(row);
      const mark = right === null ? null : element("span", { class: right ? "right" : "wrong" }, right ? "✓ " : "✗ ");
      return element("td", { class: "text" }, mark, text);
    }
    if (column.kind === "flag") {
      return element("td", { class: "text" }, ...galcnn.flags(column.values[row]).map((words) => element("span", { class: "flag" }, words)));
    }
    return element("td", { class: column.kind === "number" ? "number" : "text", title: text.length > 24 ? text : null }, text);
  }

  function line(place) {
    const row = order[place];
    const made = element("tr", { tabindex: place === active ? "0" : "-1", "aria-rowindex": place + 2, "data-row": row },
      element("td", { class: "picture" }, galcnn.thumbnail(row)));
    for (const column of galcnnReport.columns) made.append(cell(column, row));
    made.addEventListener("click", () => {
      activate(place);
      galcnn.viewer.open(order, place);
    });
    made.addEventListener("focus", () => activate(place));
    return made;
  }

  function draw() {
    const head = table.tHead.offsetHeight;
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - SPARE);
    const last = Math.min(order.length, Math.ceil((scroller.scrollTop + scroller.clientHeight - head) / ROW) + SPARE);
    const hadFocus = body.contains(document.activeElement);
    above.style.height = `${first * ROW}px`;
    below.style.height = `${Math.max(0, order.length - last) * ROW}px`;
    let next = below;
    for (let place = last - 1; place >= first; place--) {
      let own = shown.get(place);
      if (!own) {
        own = line(place);
        body.insertBefore(own, next);
        shown.set(place, own);
      }
      next = own;
    }
    // Remove rows last: a table that is briefly too short would scroll up.
    for (const [place, own] of shown) {
      if (place < first || place >= last) {
        own.remove();
        shown.delete(place);
      }
    }
    // Keep keyboard focus if the focused row is scrolled out of view.
    if (hadFocus && !body.contains(document.activeElement)) scroller.focus({ preventScroll: true });
  }

  // --- keyboard --------------------------------------------------------------------------------------

  function activate(place) {
    shown.get(active)?.setAttribute("tabindex", "-1");
    active = place;
    shown.get(active)?.setAttribute("tabindex", "0");
  }

  /** Scroll a place of the order into view and focus it. */
  function go(place) {
    if (order.length === 0) return;
    const target = Math.min(Math.max(place, 0), order.length - 1);
    const room = scroller.clientHeight - table.tHead.offsetHeight;
    if (target * ROW < scroller.scrollTop) scroller.scrollTop = target * ROW;
    else if ((target + 1) * ROW > scroller.scrollTop + room) scroller.scrollTop = (target + 1) * ROW - room;
    activate(target);
    draw();
    shown.get(target)?.focus({ preventScroll: true });
  }

  function onKey(event) {
    if (event.target.closest("thead") || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor((scroller.clientHeight - table.tHead.offsetHeight) / ROW) - 1);
    const moves = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: order.length - 1 };
    if (event.key in moves) go(moves[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && order.length) galcnn.viewer.open(order, active);
    else return;
    event.preventDefault();
  }

  // --- fixed elements --------------------------------------------------------------------------------

  function header() {
    const cells = galcnnReport.columns.map((column) => {
      const sort = () => {
        const numbers = column.kind === "number" || column.kind === "probability" || column.kind === "flag";
        sorting = { name: column.name, down: sorting?.name === column.name ? !sorting.down : numbers };
        refresh();
      };
      const kind = column.kind === "probability" ? "share" : column.kind === "number" ? "number" : column.kind === "id" ? "id" : "text";
      return element("th", { scope: "col", class: kind, "data-name": column.name, "aria-sort": "none" },
        element("button", { type: "button", click: sort, title: `sort by ${galcnn.heading(column)}` }, galcnn.heading(column)));
    });
    table.tHead.append(element("tr", { "aria-rowindex": 1 }, element("th", { scope: "col", class: "picture" }, element("span", { class: "unseen" }, "picture")), ...cells));
    table.setAttribute("aria-colcount", cells.length + 1);
  }

  function choice(name, label, options) {
    fields[name] = element("select", { name }, ...options.map(([value, text]) => element("option", { value }, text)));
    form.append(element("label", {}, label, fields[name]));
  }

  function filters() {
    const { columns, flags } = galcnnReport;
    const distinct = (name) => [...new Set(galcnn.column(name).values)].filter((value) => value !== "").sort();
    fields.text = element("input", { type: "search", name: "text", placeholder: "name, class, reason" });
    form.append(element("label", {}, "Search", fields.text));
    if (galcnn.column("class")) choice("said", "Class", [["", "all"], ...distinct("class").map((name) => [name, name])]);
    if (galcnn.column("true_class") && galcnn.column("class")) {
      choice("truth", "True class", [["", "all"], ...distinct("true_class").map((name) => [name, name])]);
      choice("answer", "Answer", [["", "all"], ["right", "right"], ["wrong", "wrong"]]);
    }
    if (galcnn.column("flag")) choice("flag", "Flags", [["", "all"], ["none", "without any"], ["any", "with any"], ...Object.entries(flags)]);
    const numbers = columns.filter((column) => column.kind === "number" || column.kind === "probability");
    fields.low = element("input", { type: "text", inputmode: "decimal", name: "low", "aria-label": "from" });
    fields.high = element("input", { type: "text", inputmode: "decimal", name: "high", "aria-label": "to" });
    if (numbers.length) {
      choice("ranged", "Values of", numbers.map((column) => [column.name, galcnn.heading(column)]));
      form.append(element("span", { class: "range" }, element("label", {}, "from", fields.low), element("label", {}, "to", fields.high)));
    }
    form.append(element("button", { type: "reset" }, "Reset"));
    form.addEventListener("input", (event) => event.target.tagName === "INPUT" && refresh());
    form.addEventListener("change", (event) => event.target.tagName === "SELECT" && refresh());
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => {
      sorting = null;
      setTimeout(refresh); // after the fields are reset
    });
  }

  /** Set filter and order, for sections of the overview. */
  function select(wanted, sort = null) {
    form.reset();
    for (const [name, value] of Object.entries(wanted)) if (fields[name]) fields[name].value = value;
    sorting = sort;
    refresh();
    document.getElementById("objects").scrollIntoView();
  }

  function start() {
    for (const column of galcnnReport.columns) column.digits = galcnn.digits(column);
    header();
    filters();
    body.append(above, below);
    let waiting = false;
    scroller.addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        draw();
      });
    });
    scroller.addEventListener("keydown", onKey);
    new ResizeObserver(draw).observe(scroller);
    refresh();
  }

  return { start, select, go, get order() { return order; } };
})();
