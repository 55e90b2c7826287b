// A list of any length: only the rows in sight are in the document, and fetched.
import { h } from "./text.js";

const CHUNK = 100;
const MARGIN = 6;

export class Rows {
  // options: label, height (of a row, px), fetch(offset, limit) -> {total, rows}, cells(row) -> nodes,
  // describe(row) -> words, onOpen(row), onPick(row) for the space bar, isChosen(row), onTotal(total).
  constructor(place, options) {
    this.options = options;
    this.chunks = new Map();
    this.asked = new Set();
    this.total = 0;
    this.active = -1;
    this.age = 0;
    this.inner = h("div", { class: "rows-inner" });
    this.place = place;
    place.classList.add("rows");
    place.replaceChildren(this.inner);
    place.tabIndex = 0;
    place.setAttribute("role", "listbox");
    place.setAttribute("aria-label", options.label);
    place.addEventListener("scroll", () => this.draw(), { passive: true });
    place.addEventListener("keydown", (event) => this.key(event));
    place.addEventListener("focus", () => this.active < 0 && this.total && this.activate(0));
    new ResizeObserver(() => this.draw()).observe(place);
  }

  // Fetch anew; what is shown stays until the answer is there.
  async reload({ top = false } = {}) {
    this.age += 1;
    this.asked.clear();
    if (top) {
      this.place.scrollTop = 0;
      this.active = -1;
      this.chunks.clear();
    }
    await this.need(Math.floor(this.first() / CHUNK), true);
  }

  first() {
    return Math.max(0, Math.floor(this.place.scrollTop / this.options.height) - MARGIN);
  }

  async need(chunk, fresh = false) {
    if (this.asked.has(chunk) || chunk < 0) return;
    this.asked.add(chunk);
    const age = this.age;
    try {
      const answer = await this.options.fetch(chunk * CHUNK, CHUNK);
      if (age !== this.age) return;
      if (fresh) this.chunks.clear();
      this.chunks.set(chunk, answer.rows);
      if (answer.total !== this.total || fresh) {
        this.total = answer.total;
        this.inner.style.height = `${this.total * this.options.height}px`;
        this.options.onTotal?.(this.total);
      }
      this.draw();
    } catch {
      if (age === this.age) setTimeout(() => this.asked.delete(chunk), 2000);
    }
  }

  row(index) {
    return this.chunks.get(Math.floor(index / CHUNK))?.[index % CHUNK];
  }

  draw() {
    const { height } = this.options;
    const first = this.first();
    const last = Math.min(this.total, first + Math.ceil(this.place.clientHeight / height) + 2 * MARGIN);
    const shown = [];
    for (let index = first; index < last; index += 1) {
      const row = this.row(index);
      if (!row) this.need(Math.floor(index / CHUNK));
      shown.push(this.element(index, row));
    }
    this.inner.replaceChildren(...shown);
    const active = this.active >= first && this.active < last ? `${this.place.id}-${this.active}` : "";
    if (active) this.place.setAttribute("aria-activedescendant", active);
    else this.place.removeAttribute("aria-activedescendant");
  }

  element(index, row) {
    const chosen = Boolean(row && this.options.isChosen?.(row));
    const element = h("div", {
      id: `${this.place.id}-${index}`,
      class: `row${index === this.active ? " active" : ""}${chosen ? " chosen" : ""}`,
      role: "option",
      "aria-selected": String(chosen),
      "aria-posinset": String(index + 1),
      "aria-setsize": String(this.total),
      "aria-label": row ? this.options.describe(row) : "loading",
    });
    element.style.transform = `translateY(${index * this.options.height}px)`;
    element.style.height = `${this.options.height}px`;
    if (row) {
      element.append(...this.options.cells(row));
      element.addEventListener("click", (event) => {
        this.active = index;
        if (!event.target.closest("input, a")) this.options.onOpen(row);
        this.draw();
      });
    }
    return element;
  }

  activate(index) {
    const { height } = this.options;
    this.active = Math.min(Math.max(index, 0), this.total - 1);
    const top = this.active * height;
    const { scrollTop, clientHeight } = this.place;
    if (top < scrollTop) this.place.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) this.place.scrollTop = top + height - clientHeight;
    this.draw();
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.place.clientHeight / this.options.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves && this.total) {
      event.preventDefault();
      const to = this.active + moves[event.key];
      this.activate(to === Infinity ? this.total - 1 : to === -Infinity ? 0 : to);
      return;
    }
    const row = this.row(this.active);
    if (!row) return;
    if (event.key === "Enter") this.options.onOpen(row);
    else if (event.key === " ") (this.options.onPick ?? this.options.onOpen)(row);
    else return;
    event.preventDefault();
    this.draw();
  }
}
