// Data of the report, and helpers that all parts of the page use.
// Names of objects may contain any characters: text enters the page through `element` only, never as HTML.
"use strict";

const galcnn = { pending: new Map(), kept: new Map() };

// --- building the page ---------------------------------------------------------------------------

/** Create an element with attributes (functions are listeners) and children (strings become text). */
galcnn.element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

/** Thumbnail of an object, or a dash if there is none. */
galcnn.thumbnail = (row) => {
  const { side, across, places } = galcnnReport.thumbnails;
  const place = places[row];
  if (place < 0) return galcnn.element("div", { class: "thumbnail none", title: "no picture" }, "–");
  const sheet = String(Math.floor(place / across ** 2)).padStart(4, "0");
  const x = place % across;
  const y = Math.floor((place % across ** 2) / across);
  const made = galcnn.element("div", { class: "thumbnail", role: "img", "aria-label": `picture of ${galcnn.id(row)}` });
  made.style.backgroundImage = `url("data/thumbnails/${sheet}.png")`;
  made.style.backgroundPosition = `${-x * side}px ${-y * side}px`;
  return made;
};

// --- values --------------------------------------------------------------------------------------

galcnn.column = (name) => galcnnReport.columns.find((column) => column.name === name);
galcnn.value = (name, row) => galcnn.column(name)?.values[row];
galcnn.id = (row) => galcnn.value("id", row);

/** Heading of a column. */
galcnn.heading = (column) => {
  const known = { id: "object", class: "class", true_class: "true class", entropy: "entropy [nat]", flag: "flags", set: "cannot exclude" };
  if (Object.hasOwn(known, column.name)) return known[column.name];
  if (column.kind === "probability") return column.name.replace(/^p_/, "").replace(/^f_/, "fraction ").replace(/^true_/, "people: ");
  return column.name + (column.unit ? ` [${column.unit}]` : "");
};

galcnn.flags = (value) =>
  Object.entries(galcnnReport.flags).filter(([bit]) => (value & Number(bit)) !== 0).map(([, words]) => words);

galcnn.number = (value, digits = 4) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value).replace("-", "−");
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) {
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const raised = [...String(Number(power))].map((letter) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(letter)]).join("");
    return `${Number(mantissa)} × 10${raised}`.replace("-", "−");
  }
  return String(Number(value.toPrecision(digits))).replace("-", "−");
};

/** Text of a value in the table. */
galcnn.text = (column, row) => {
  const value = column.values[row];
  if (value === null || value === "") return "";
  if (column.kind === "probability") return value.toFixed(3);
  if (column.kind === "flag") return galcnn.flags(value).join(", ");
  if (column.kind !== "number") return column.name === "set" ? value.split("|").join(", ") : value;
  if (column.name === "ra" || column.name === "dec") return value.toFixed(5).replace("-", "−");
  return column.digits === null ? galcnn.number(value) : value.toFixed(column.digits).replace("-", "−");
};

/** Number of decimals for all values of a column; null if they differ too much. */
galcnn.digits = (column) => {
  const values = column.values.filter((value) => value !== null);
  if (values.every(Number.isInteger)) return 0; // such as object ids: show all digits
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return largest < 1e-3 || largest >= 1e6 ? null : Math.min(5, Math.max(0, 3 - Math.floor(Math.log10(largest))));
};

/** True or false for a right or wrong prediction; null if the true class is unknown. */
galcnn.right = (row) => {
  const truth = galcnn.value("true_class", row);
  const said = galcnn.value("class", row);
  return truth && said ? truth === said : null;
};

// --- the files of objects, which are scripts that call receive ------------------------------------

galcnn.receive = (row, content) => {
  galcnn.kept.delete(row);
  galcnn.kept.set(row, content);
  if (galcnn.kept.size > 16) galcnn.kept.delete(galcnn.kept.keys().next().value);
  galcnn.pending.get(row)?.done(content);
};

/** Load pictures and maps of an object; null if it has none. */
galcnn.load = (row) => {
  if (galcnnReport.thumbnails.places[row] < 0) return Promise.resolve(null);
  if (galcnn.kept.has(row)) return Promise.resolve(galcnn.kept.get(row));
  if (!galcnn.pending.has(row)) {
    const script = document.createElement("script");
    const promise = new Promise((resolve, reject) => {
      const ended = (settle) => (value) => {
        galcnn.pending.delete(row);
        script.remove();
        settle(value);
      };
      galcnn.pending.set(row, { done: ended(resolve) });
      script.addEventListener("error", ended(() => reject(new Error("its file is missing from data/objects"))));
    });
    galcnn.pending.get(row).promise = promise;
    script.src = `data/objects/${String(row).padStart(6, "0")}.js`;
    document.head.append(script);
  }
  return galcnn.pending.get(row).promise;
};
