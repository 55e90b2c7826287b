// Structures of a run: a gallery of crystals that turn, a table of any length, files to take along.
import { CrystalView, still } from "./crystal.js";
import { Rows } from "./rows.js";
import { formula, get, h, number, query, say, signed } from "./text.js";

const PIECE = 12;
const SOURCES = [
  ["candidates", "Candidates"],
  ["tuned", "Samples, tuned"],
  ["base", "Samples, base"],
];
const SORTS = [
  ["best", "best first"],
  ["e_above_hull", "energy above hull"],
  ["amd_distance", "distance to known"],
  ["formula", "formula"],
  ["num_atoms", "atoms"],
  ["step", "step"],
  ["volume_per_atom", "volume per atom"],
];
const ROW = 34;
const MOST_PICKED = 200;

const encoded = encodeURIComponent;

const distance = (row) => (row.amd_distance === null ? "no known crystal of this formula" : `${number(row.amd_distance, 2)} Å from ${row.nearest || "the nearest known"}`);

const energy = (row) => (row.e_above_hull === null ? "no energy above hull" : `${signed(row.e_above_hull)} eV/atom to hull`);

function facts(row) {
  const parts = [energy(row), distance(row), `${row.num_atoms} atoms${row.volume_per_atom === null ? "" : `, ${number(row.volume_per_atom, 1)} Å³/atom`}`];
  if (row.suspicious) parts.push("suspiciously low: more often the calculator's mistake than a discovery");
  return parts;
}

const describe = (row) => [row.formula, ...facts(row)].join(", ");

function canvasOf(row, options) {
  if (!row.drawing) return h("p", { class: "hint" }, "cannot be drawn");
  const canvas = h("canvas", { "aria-label": `${row.formula} in 3D; arrow keys turn it` });
  const view = new CrystalView(canvas, row.drawing, options);
  return view.canvas;
}

// The dialog with one structure, large.
export async function openStructure(run, source, number_) {
  const path = `/api/runs/${encoded(run)}/structures/${source}/${number_}`;
  show(run, source, await get(path));
}

function show(run, source, row) {
  const dialog = document.getElementById("structure");
  const canvas = canvasOf(row, { zoomable: true });
  const at = `/runs/${encoded(run)}/structures/${source}/${row.row}`;
  const elements = Object.values(row.drawing?.elements ?? {}).map((element) => {
    const swatch = h("i", { class: "ball" });
    swatch.style.setProperty("--swatch", element.colour);
    return h("li", {}, swatch, element.symbol);
  });
  const spin = h("input", { type: "checkbox", checked: !still.matches });
  spin.addEventListener("change", () => canvas.view?.spin(spin.checked));
  dialog.replaceChildren(
    h("div", { class: "dialog-head" }, h("h2", {}, formula(row.formula)), h("button", { type: "button", class: "close", "aria-label": "Close", on: { click: () => dialog.close() } }, "✕")),
    canvas,
    h("ul", { class: "legend" }, elements),
    h("p", { class: "facts" }, facts(row).flatMap((part) => [part, h("br")])),
    h("p", { class: "hint" }, "Drag or arrow keys turn it, wheel or + and - zoom."),
    h("div", { class: "tools" }, h("label", {}, spin, " turn"), h("a", { class: "button", href: `${at}.cif`, download: true }, "CIF"), h("a", { class: "button", href: `${at}.extxyz`, download: true }, "extxyz")),
  );
  dialog.setAttribute("aria-label", `Structure ${row.formula}`);
  dialog.addEventListener("close", () => canvas.view?.close(), { once: true });
  dialog.showModal();
  canvas.focus();
  if (spin.checked) canvas.view?.spin(true);
}

export class Structures {
  constructor(run) {
    this.run = run;
    this.views = [];
    this.picked = new Set();
    this.total = 0;
    this.wanted = { source: "candidates", text: "", msun: false, sort: "best", descending: false };
    this.gallery = h("div", { class: "gallery" });
    this.more = h("button", { type: "button", on: { click: () => this.grow() } }, "More");
    this.count = h("span", { class: "count", role: "status" });
    this.table = h("div", { id: "structure-rows" });
    this.picks = h("div", { class: "tools", id: "picks" });
    this.rows = new Rows(this.table, {
      label: "Structures; space picks, Enter opens",
      height: ROW,
      fetch: (offset, limit) => get(this.address({ offset, limit })),
      cells: (row) => this.cells(row),
      describe,
      isChosen: (row) => this.picked.has(row.row),
      onOpen: (row) => openStructure(this.run, this.wanted.source, row.row),
      onPick: (row) => this.pick(row.row),
      onTotal: (total) => this.tell(total),
    });
    this.section = h("section", { id: "structures" }, h("h2", {}, "Structures"), h("p", { class: "hint" }, "What training found and the policies sampled. Candidates are metastable, unique and novel."), this.tools(), this.gallery, h("p", { class: "tools" }, this.more), this.head(), this.table, this.picks);
    this.drawPicks();
  }

  tools() {
    const source = h("select", { "aria-label": "Structures from", id: "structure-source" }, SOURCES.map(([value, name]) => h("option", { value }, name)));
    source.addEventListener("change", () => {
      this.picked.clear();
      this.drawPicks();
      this.want({ source: source.value });
    });
    const find = h("input", { type: "search", placeholder: "Elements or formula: Li O", "aria-label": "Elements or part of the formula", id: "structure-text", maxLength: 200, autocomplete: "off", spellcheck: "false" });
    let timer = 0;
    find.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.want({ text: find.value.trim() }), 250);
    });
    const sort = h("select", { "aria-label": "Order", id: "structure-sort" }, SORTS.map(([value, name]) => h("option", { value }, name)));
    sort.addEventListener("change", () => this.want({ sort: sort.value }));
    const down = h("input", { type: "checkbox" });
    down.addEventListener("change", () => this.want({ descending: down.checked }));
    const msun = h("input", { type: "checkbox" });
    msun.addEventListener("change", () => this.want({ msun: msun.checked }));
    this.all = h("input", { type: "checkbox", id: "turn-all" });
    this.all.addEventListener("change", () => this.views.forEach((view) => view.spin(this.all.checked)));
    return h("div", { class: "tools" }, source, find, sort, h("label", {}, down, " largest first"), h("label", {}, msun, " mSUN only"), h("label", {}, this.all, " turn all"), this.count);
  }

  address(more) {
    const { source, ...rest } = this.wanted;
    return `/api/runs/${encoded(this.run)}/structures/${source}?${query({ ...rest, ...more })}`;
  }

  want(change) {
    Object.assign(this.wanted, change);
    return this.load();
  }

  // Everything from the start.
  async load() {
    const age = (this.age = (this.age ?? 0) + 1);
    const [answer] = await Promise.all([get(this.address({ offset: 0, limit: PIECE, drawn: true })), this.rows.reload({ top: true })]);
    if (age !== this.age) return;
    this.clear();
    this.fill(answer);
    say(`${answer.total} structures`);
  }

  // What came in meanwhile; the gallery stays while somebody is at it.
  async refresh() {
    const before = this.total;
    await this.rows.reload();
    if (this.total !== before && !this.gallery.matches(":hover, :focus-within") && this.gallery.childElementCount <= PIECE) {
      const answer = await get(this.address({ offset: 0, limit: PIECE, drawn: true }));
      this.clear();
      this.fill(answer);
    }
  }

  async grow() {
    const offset = this.gallery.childElementCount;
    const age = this.age;
    const answer = await get(this.address({ offset, limit: PIECE, drawn: true }));
    if (age !== this.age) return;
    this.fill(answer);
    this.gallery.children[offset]?.querySelector("canvas, button")?.focus();
  }

  clear() {
    this.views.forEach((view) => view.close());
    this.views = [];
    this.gallery.replaceChildren();
  }

  close() {
    this.clear();
  }

  fill(answer) {
    for (const row of answer.rows) this.gallery.append(this.card(row));
    this.more.hidden = this.gallery.childElementCount >= answer.total;
    if (!answer.total) this.gallery.replaceChildren(h("p", { class: "hint" }, "Nothing here yet."));
    this.tell(answer.total);
  }

  tell(total) {
    this.total = total;
    this.count.textContent = `${total.toLocaleString("en")} structures`;
  }

  card(row) {
    const canvas = canvasOf(row, {});
    const { view } = canvas;
    if (view) {
      this.views.push(view);
      if (this.all.checked) view.spin(true);
      for (const event of ["pointerenter", "focus"]) canvas.addEventListener(event, () => still.matches || view.spin(true));
      for (const event of ["pointerleave", "blur"]) canvas.addEventListener(event, () => this.all.checked || view.spin(false));
      canvas.addEventListener("dblclick", () => show(this.run, this.wanted.source, row));
    }
    const open = h("button", { type: "button", class: "formula", "aria-label": `Open ${row.formula}`, on: { click: () => show(this.run, this.wanted.source, row) } }, formula(row.formula));
    return h("div", { class: `crystal${row.suspicious ? " suspicious" : ""}` }, canvas, open, h("div", { class: "facts" }, facts(row).flatMap((part) => [part, h("br")])));
  }

  head() {
    return h("div", { class: "row head", "aria-hidden": "true" }, [["", ""], ["formula", ""], ["to hull", ", eV/atom"], ["to known", ", Å"], ["atoms", ""], ["step", ""], ["nearest known", ""]].map(([name, unit]) => h("span", {}, name, h("small", {}, unit))));
  }

  cells(row) {
    const pick = h("input", { type: "checkbox", tabIndex: -1, checked: this.picked.has(row.row), "aria-hidden": "true" });
    pick.addEventListener("change", () => this.pick(row.row));
    return [h("span", {}, pick), h("span", { class: "name" }, formula(row.formula)), ...[row.e_above_hull === null ? "-" : signed(row.e_above_hull), number(row.amd_distance, 2), String(row.num_atoms), row.step === null ? "-" : String(row.step), row.nearest || "-"].map((text) => h("span", {}, text))];
  }

  pick(row) {
    if (this.picked.has(row)) this.picked.delete(row);
    else if (this.picked.size < MOST_PICKED) this.picked.add(row);
    this.drawPicks();
    this.rows.draw();
  }

  drawPicks() {
    const rows = [...this.picked].join(",");
    const at = `/runs/${encoded(this.run)}/structures/${this.wanted.source}/picked`;
    const links = this.picked.size
      ? [h("a", { class: "button", href: `${at}.zip?rows=${rows}`, download: true }, `${this.picked.size} as CIF (zip)`), h("a", { class: "button", href: `${at}.extxyz?rows=${rows}`, download: true }, `${this.picked.size} as extxyz`)]
      : [h("span", { class: "hint" }, `Pick up to ${MOST_PICKED} rows to download them.`)];
    this.picks.replaceChildren(...links);
  }
}
