// Assembles the page.
"use strict";

(() => {
  const report = galcnnReport;
  const words = [`${report.n.toLocaleString("en")} objects`];
  const right = Array.from({ length: report.n }, (_, row) => galcnn.right(row)).filter((answer) => answer !== null);
  if (right.length) words.push(`${((100 * right.filter(Boolean).length) / right.length).toFixed(1)} % of ${right.length.toLocaleString("en")} with a known class are right`);
  const flagged = galcnn.column("flag")?.values.filter((value) => value).length;
  if (flagged) words.push(`${flagged.toLocaleString("en")} flagged`);
  const maps = report.maps.filter((number) => number > 0).length;
  words.push(maps ? `${maps.toLocaleString("en")} with maps` : "no maps");
  document.title = `${report.title} – galcnn report`;
  document.getElementById("title").textContent = report.title;
  document.getElementById("summary").textContent = words.join(" · ");
  document.getElementById("made").textContent = `Made by ${report.creator}, ${report.created}, of ${report.sources.join(", ")}.`;

  galcnn.table.start();
  galcnn.overview.start();

  /** #object=ID opens an object. */
  const follow = () => {
    if (!location.hash.startsWith("#object=")) return;
    let name;
    try {
      name = decodeURIComponent(location.hash.slice("#object=".length));
    } catch {
      return; // not an anchor of this page
    }
    const row = galcnn.column("id").values.indexOf(name);
    if (row >= 0) galcnn.viewer.open([row], 0);
  };
  window.addEventListener("hashchange", follow);
  follow();
})();
