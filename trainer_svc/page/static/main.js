// The page: runs on the left, one run with its curves, front, structures and files on the right.
import { clouds, lines } from "./charts.js";
import { Rows } from "./rows.js";
import { openStructure, Structures } from "./structures.js";
import { duration, get, h, percent, query, say, stateWords } from "./text.js";

const HEALTH_MS = 10_000;
const LIST_MS = 5_000;
const POLL_MS = 5_000;
const AFTER_STEP_MS = 8_000;
const HULL = [-0.2, 1.0]; // eV/atom, as in the report

const series = (index) => `var(--s${index})`;
const encoded = encodeURIComponent;

document.getElementById("sign-out").hidden = document.body.dataset.open === "true";

// ---- services

async function services() {
  const place = document.getElementById("services");
  try {
    const found = (await get("/api/health")).services;
    place.replaceChildren(...found.map(({ name, address, health }) => {
      const well = health === "SERVING";
      return h("li", { class: well ? "well" : "ill", title: [address, health].filter(Boolean).join(": ") }, h("i", { "aria-hidden": "true" }), name, h("span", { class: "unseen" }, well ? " serves" : ` does not serve: ${health}`), well ? null : h("small", {}, ` ${health.split(":")[0].toLowerCase().replaceAll("_", " ")}`));
    }));
  } catch (error) {
    if (error.status !== 401) place.replaceChildren(h("li", { class: "ill" }, h("i", { "aria-hidden": "true" }), "trainer", h("small", {}, " does not answer")));
  }
}

// ---- list of runs

const find = document.getElementById("find-run");
let current = null;

const list = new Rows(document.getElementById("run-list"), {
  label: "Runs; Enter opens",
  height: 58,
  fetch: (offset, limit) => get(`/api/runs?${query({ offset, limit, text: find.value.trim() })}`),
  cells: (run) => [
    h("span", { class: "name" }, run.name),
    h("span", { class: `mark ${run.active ? "active" : run.state.toLowerCase()}` }, stateWords(run.state)),
    h("span", { class: "small" }, `${run.steps_done} of ${run.steps_total} steps`),
    h("span", { class: "small right" }, run.msun_tuned === null ? "" : `mSUN ${percent(run.msun_tuned)}`),
  ],
  describe: (run) => `${run.name}, ${stateWords(run.state)}, ${run.steps_done} of ${run.steps_total} steps`,
  isChosen: (run) => run.name === current?.name,
  onOpen: (run) => (location.hash = `#/${encoded(run.name)}`),
  onTotal: (total) => {
    document.getElementById("run-count").textContent = total ? `(${total.toLocaleString("en")})` : "";
    if (!current && !location.hash.startsWith("#/") && list.row(0)) location.replace(`#/${encoded(list.row(0).name)}`);
  },
});

let typing = 0;
find.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => list.reload({ top: true }), 200);
});

// ---- one run

class RunView {
  constructor(name) {
    this.name = name;
    this.steps = [];
    this.structures = new Structures(name);
    this.timers = new Map();
    this.head = h("div");
    this.cards = h("div", { class: "cards" });
    this.places = Object.fromEntries(["reward", "metrics", "stability", "health", "seconds", "pareto"].map((key) => [key, h("div", { class: "chart", id: `chart-${key}` })]));
    this.notes = h("div");
    this.files = h("ul", { class: "files" });
    const chart = (key, title, hint) => h("section", {}, h("h2", {}, title), h("p", { class: "hint" }, hint), this.places[key]);
    this.content = h("div", {},
      this.head,
      this.cards,
      h("div", { class: "grid" }, chart("reward", "Reward", "Mean over each step's samples, and its terms; 5-step means."), chart("metrics", "Metrics during training", "Shares of each step's samples, %; 5-step means.")),
      h("div", { class: "grid" }, chart("stability", "Stability", "Median energy above hull of each step's samples, eV/atom."), chart("health", "Health of the training", "The importance ratio must be 1 (dashed: its limit) before the first update of every step.")),
      h("section", {}, h("h2", {}, "Novelty against stability"), h("p", { class: "hint" }, "Upper left is best. Lines: structures that no other beats in both; for candidates, all found until then. A click opens a structure."), this.places.pareto),
      this.structures.section,
      h("div", { class: "grid" }, chart("seconds", "Time of a step", "Seconds by stage."), h("section", { id: "files" }, h("h2", {}, "Files"), h("p", { class: "hint" }, "Whole files of the run."), this.files)),
      this.notes,
    );
  }

  async open() {
    await this.load();
    document.getElementById("content").replaceChildren(this.content);
    document.title = `${this.name} - Xenolith`;
    this.draw();
    this.watch();
    await Promise.allSettled([this.pareto(), this.structures.load()]);
  }

  close() {
    this.closed = true;
    this.stream?.close();
    this.timers.forEach(clearTimeout);
    this.structures.close();
  }

  // Once in a while, however often it is asked for.
  soon(key, wait, action) {
    if (this.timers.has(key) || this.closed) return;
    this.timers.set(key, setTimeout(() => {
      this.timers.delete(key);
      if (!this.closed) Promise.resolve(action()).catch(() => {});
    }, wait));
  }

  async load() {
    this.run = await get(`/api/runs/${encoded(this.name)}`);
    this.steps = this.run.steps ?? [];
    this.progress = this.run.progress;
  }

  watch() {
    if (!this.run.active || this.closed) {
      this.soon("again", POLL_MS, () => this.reload());
      return;
    }
    this.stream?.close();
    this.stream = new EventSource(`/api/runs/${encoded(this.name)}/events?after=${this.run.sequence}`);
    this.stream.onmessage = ({ data }) => this.hear(JSON.parse(data));
    this.stream.addEventListener("end", () => {
      this.stream.close();
      this.soon("reload", 300, () => this.reload({ structures: true }));
    });
    this.stream.onerror = () => {
      // Refused, as where another trainer works on the run: ask now and then instead. Else the browser tries again.
      if (this.stream.readyState === EventSource.CLOSED) this.soon("again", POLL_MS, () => this.reload({ structures: true }));
    };
  }

  hear(event) {
    if (event.kind === "step") {
      this.steps = [...this.steps.filter((step) => step.step < event.step), event];
      this.run.steps_done = event.step;
      this.progress = null;
      this.soon("draw", 100, () => this.draw());
      this.soon("structures", AFTER_STEP_MS, () => Promise.all([this.pareto(), this.structures.refresh()]));
    } else if (event.kind === "progress") {
      this.progress = event;
      this.soon("head", 200, () => this.drawHead());
    } else {
      if (event.kind === "state") say(`${this.name}: ${stateWords(event.state)}`);
      this.soon("reload", 500, () => this.reload());
    }
  }

  async reload({ structures = false } = {}) {
    const before = this.run.sequence;
    await this.load();
    if (this.closed) return;
    const watching = this.stream && this.stream.readyState !== EventSource.CLOSED;
    if (this.run.sequence !== before || structures) {
      this.draw();
      this.soon("structures", 500, () => Promise.all([this.pareto(), this.structures.refresh()]));
    }
    if (!watching) this.watch();
  }

  draw() {
    this.drawHead();
    this.drawCards();
    this.drawCurves();
    this.drawFiles();
  }

  drawHead() {
    const { run } = this;
    const parts = [stateWords(run.state)];
    if (this.progress?.total) parts.push(`${this.progress.stage} ${this.progress.done} of ${this.progress.total}`);
    const facts = [run.algorithm, run.bundle, run.calculator && `calculator ${run.calculator}`, run.reference && `reference ${run.reference}`, run.wall_s && `${duration(run.wall_s)} at work`];
    this.head.replaceChildren(
      h("header", {}, h("div", {}, h("p", { class: "eyebrow" }, "Run"), h("h1", {}, run.name)), h("div", { class: `state${run.active ? " live" : ""}`, id: "state" }, parts.join(", "))),
      h("label", { class: "progress" }, h("span", {}, `${run.steps_done} of ${run.steps_total} steps`), h("progress", { max: Math.max(run.steps_total ?? 1, 1), value: run.steps_done ?? 0 })),
      run.message ? h("p", { class: "problem" }, run.message) : "",
      h("p", { class: "hint" }, facts.filter(Boolean).join(" · ")),
    );
  }

  drawCards() {
    const { base, tuned, headlines = [] } = this.run;
    const recent = this.steps.slice(-5);
    // The most demanding share first, as in the report.
    this.cards.replaceChildren(...headlines.toReversed().map(({ name, label, words }) => {
      const trained = recent.map((step) => step.metrics[name]).filter((value) => value !== undefined && value !== null);
      const now = tuned?.[name] ?? (trained.length ? trained.reduce((sum, value) => sum + value, 0) / trained.length : base?.[name]);
      if (now === undefined || now === null) return "";
      const from = tuned || trained.length ? (base?.[name] !== undefined && base?.[name] !== null ? `base ${percent(base[name])}` : "") : "base policy";
      const of = tuned ? "tuned policy" : trained.length ? `last ${trained.length} steps` : "";
      return h("div", { class: "card", title: words }, h("div", { class: "name" }, label), h("div", { class: "value" }, (100 * now).toFixed(1), h("small", {}, " %")), h("div", { class: "from" }, [of, from].filter(Boolean).join(", ")));
    }));
  }

  drawCurves() {
    const xs = this.steps.map((step) => step.step);
    const of = (read) => this.steps.map(read);
    const terms = [...new Set(this.steps.flatMap((step) => Object.keys(step.terms)))].filter((name) => !name.endsWith("diversity"));
    const raw = of((step) => step.reward_mean);
    lines(this.places.reward, {
      label: "Reward",
      xs,
      series: [
        { name: "each step", colour: series(0), ys: raw, faint: true },
        { name: "reward", colour: series(0), ys: smooth(raw) },
        ...terms.map((name, index) => ({ name: name.replaceAll("_", " "), colour: series(1 + (index % 6)), ys: smooth(of((step) => step.terms[name])), dashed: true })),
      ],
    });
    lines(this.places.metrics, {
      label: "Metrics during training",
      xs,
      yRange: [0, 102],
      series: (this.run.headlines ?? []).map(({ name, label }, index) => ({ name: label, colour: series(index), ys: smooth(of((step) => 100 * step.metrics[name])) })).filter((one) => one.ys.some(Number.isFinite)),
    });
    lines(this.places.stability, { label: "Median energy above hull", xs, series: [{ name: "median energy above hull", colour: series(2), ys: of((step) => step.metrics.e_above_hull_median) }] });
    const floor = (value) => Math.max(value ?? NaN, 1e-9);
    lines(this.places.health, {
      label: "Health of the training",
      xs,
      log: true,
      limit: 1e-5,
      series: [
        { name: "max |ratio - 1| before the first update", colour: series(2), ys: of((step) => floor(step.ratio_deviation)) },
        { name: "distance to the base policy", colour: series(3), ys: of((step) => floor(step.kl)) },
        { name: "share of clipped ratios", colour: series(4), ys: of((step) => floor(step.clip_fraction)) },
      ],
    });
    const stages = [...new Set(this.steps.flatMap((step) => Object.keys(step.seconds)))];
    lines(this.places.seconds, { label: "Time of a step, seconds", xs, series: stages.map((name, index) => ({ name, colour: series(index % 7), ys: of((step) => step.seconds[name]) })) });
  }

  async pareto() {
    const found = await get(`/api/runs/${encoded(this.name)}/pareto`);
    if (this.closed) return;
    const stages = found.clouds.filter((cloud) => cloud.source === "candidates").length;
    let stage = 0;
    clouds(this.places.pareto, {
      label: "Novelty against stability",
      xLabel: "energy above hull, eV/atom",
      yLabel: "AMD distance to nearest known, Å",
      xRange: HULL,
      mark: found.metastable_below,
      markName: `metastable < ${found.metastable_below}`,
      unknown: "no known crystal of this formula",
      onOpen: (source, row) => openStructure(this.name, source, row),
      clouds: found.clouds.map((cloud) => ({ ...cloud, name: cloud.label, colour: cloud.source === "candidates" ? `color-mix(in srgb, var(--s2) ${Math.round((100 * (stage += 1)) / stages)}%, var(--s1))` : `var(--${cloud.source})` })),
    });
  }

  drawFiles() {
    const { run } = this;
    this.files.replaceChildren(...(run.artifacts ?? []).map((name) => h("li", {}, h("a", { href: `/runs/${encoded(run.name)}/files/${name}`, download: true }, name))));
    const warnings = run.warnings ?? [];
    this.notes.replaceChildren(...(warnings.length ? [h("section", {}, h("h2", {}, "Warnings"), h("ul", { class: "warnings" }, warnings.toReversed().map(({ time, message }) => h("li", {}, h("time", { datetime: time }, time.slice(0, 16).replace("T", " ")), ` ${message}`))))] : []));
  }
}

// Centred moving average that shortens at the ends, as in the report.
function smooth(values, window = 5) {
  const half = Math.floor(window / 2);
  return values.map((_, index) => {
    const near = values.slice(Math.max(0, index - half), index + half + 1).filter((value) => value !== null && Number.isFinite(value));
    return near.length ? near.reduce((sum, value) => sum + value, 0) / near.length : null;
  });
}

async function route() {
  if (!location.hash.startsWith("#/")) return;
  const name = decodeURIComponent(location.hash.slice(2));
  if (current?.name === name) return;
  current?.close();
  const view = (current = new RunView(name));
  list.draw();
  try {
    await view.open();
    say(`Run ${name}`);
  } catch (error) {
    if (current === view) document.getElementById("content").replaceChildren(h("p", { class: "problem", role: "alert" }, error.message));
  }
}

function every(wait, action) {
  action();
  setInterval(() => document.hidden || action(), wait);
}

window.addEventListener("hashchange", route);
every(HEALTH_MS, services);
every(LIST_MS, () => list.reload());
route();
