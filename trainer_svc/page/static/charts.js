// Charts as SVG: lines over steps, and clouds with their fronts. Colours are the style sheet's.
import { compact, h, s } from "./text.js";

const MARGIN = { left: 54, right: 14, top: 8, bottom: 38 };

const drawn = new WeakMap();
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) drawn.get(target)?.();
});

function onSize(place, draw) {
  drawn.set(place, draw);
  sizes.observe(place);
  draw();
}

function niceTicks(low, high, about) {
  const raw = (high - low) / Math.max(about, 1) || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const ticks = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index += 1) ticks.push(Number((index * step).toPrecision(12)));
  return ticks;
}

function decades(low, high) {
  const ticks = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * 1.0001; power += 1) ticks.push(10 ** power);
  const skip = Math.ceil(ticks.length / 6);
  return ticks.filter((_, index) => index % skip === 0);
}

function frameOf(place, { xRange, yRange, xLabel, yLabel, height, log }) {
  const width = Math.max(place.clientWidth, 220);
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const up = log ? Math.log10 : (value) => value;
  const [low, high] = yRange.map(up);
  const x = (value) => MARGIN.left + ((value - xRange[0]) / (xRange[1] - xRange[0] || 1)) * inner.width;
  const y = (value) => MARGIN.top + (1 - (up(value) - low) / (high - low || 1)) * inner.height;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", tabindex: "0" });
  const bottom = MARGIN.top + inner.height;
  for (const tick of log ? decades(...yRange) : niceTicks(...yRange, height / 60)) {
    svg.append(s("line", { class: "grid-line", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }));
    svg.append(s("text", { class: "tick", x: MARGIN.left - 8, y: y(tick) + 4, "text-anchor": "end" }, compact(tick)));
  }
  for (const tick of niceTicks(...xRange, inner.width / 55)) {
    svg.append(s("line", { class: "axis", x1: x(tick), x2: x(tick), y1: bottom, y2: bottom + 5 }));
    svg.append(s("text", { class: "tick", x: x(tick), y: bottom + 18, "text-anchor": "middle" }, compact(tick)));
  }
  svg.append(s("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }));
  svg.append(s("text", { class: "axis-label", x: MARGIN.left + inner.width / 2, y: height - 4, "text-anchor": "middle" }, xLabel));
  if (yLabel) {
    const middle = MARGIN.top + inner.height / 2;
    svg.append(s("text", { class: "axis-label", transform: `translate(12 ${middle}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
  }
  return { svg, x, y, width, height, inner, bottom };
}

function legend(items) {
  return h("ul", { class: "legend" }, items.map(({ name, colour, dashed }) => {
    const swatch = h("i", { class: dashed ? "dashed" : "" });
    swatch.style.setProperty("--swatch", colour);
    return h("li", {}, swatch, name);
  }));
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

function path(frame, xs, ys) {
  let text = "";
  let pen = "M";
  for (let index = 0; index < xs.length; index += 1) {
    if (!known(ys[index])) {
      pen = "M";
      continue;
    }
    text += `${pen}${frame.x(xs[index]).toFixed(1)} ${frame.y(ys[index]).toFixed(1)}`;
    pen = "L";
  }
  return text;
}

// spec: label, xs, series [{name, colour, ys, dashed, faint, points}], yLabel, yRange, log, limit (a dashed line).
export function lines(place, spec) {
  onSize(place, () => {
    const values = spec.series.flatMap((one) => one.ys.filter(known));
    let yRange = spec.yRange;
    if (!yRange) {
      const [low, high] = extent(spec.limit === undefined ? values : [...values, spec.limit]);
      const pad = (high - low || Math.abs(high) || 1) * 0.06;
      yRange = spec.log ? [low * 0.7, high * 1.5] : [low - pad, high + pad];
    }
    const [first, last] = extent(spec.xs);
    const xRange = [first, Math.max(last, first + 1)];
    const frame = frameOf(place, { xRange, yRange, xLabel: "step", yLabel: spec.yLabel, height: 260, log: spec.log });
    if (spec.limit !== undefined) {
      frame.svg.append(s("line", { class: "limit", x1: MARGIN.left, x2: frame.width - MARGIN.right, y1: frame.y(spec.limit), y2: frame.y(spec.limit) }));
    }
    for (const one of spec.series) {
      const line = s("path", { class: `line${one.dashed ? " dashed" : ""}${one.faint ? " faint" : ""}`, d: path(frame, spec.xs, one.ys) });
      line.style.stroke = one.colour;
      frame.svg.append(line);
      if (spec.xs.length === 1 && known(one.ys[0])) frame.svg.append(dot(frame, spec.xs[0], one.ys[0], one.colour));
    }
    const told = h("div", { class: "tip", hidden: true });
    const cursor = s("line", { class: "cursor", y1: MARGIN.top, y2: frame.bottom, visibility: "hidden" });
    frame.svg.append(cursor);
    const shown = spec.series.filter((one) => !one.faint);
    const end = spec.xs.length - 1;
    frame.svg.setAttribute("aria-label", `${spec.label}. ${end < 0 ? "No step yet." : words(end)} Arrow keys read single steps.`);
    function words(index) {
      return `Step ${spec.xs[index]}: ${shown.map((one) => `${one.name} ${known(one.ys[index]) ? compact(one.ys[index]) : "not measured"}`).join(", ")}.`;
    }
    let at = -1;
    function show(index) {
      at = index;
      const there = index >= 0 && index <= end;
      told.hidden = !there;
      cursor.setAttribute("visibility", there ? "visible" : "hidden");
      if (!there) return;
      const x = frame.x(spec.xs[index]);
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      told.replaceChildren(h("b", {}, `step ${spec.xs[index]}`), ...shown.map((one) => {
        const swatch = h("i");
        swatch.style.setProperty("--swatch", one.colour);
        return h("span", {}, swatch, `${one.name} ${known(one.ys[index]) ? compact(one.ys[index]) : "-"}`);
      }));
      const left = x > frame.width / 2;
      told.style.left = left ? "" : `${x + 10}px`;
      told.style.right = left ? `${frame.width - x + 10}px` : "";
    }
    frame.svg.addEventListener("pointermove", (event) => {
      const box = frame.svg.getBoundingClientRect();
      const wanted = xRange[0] + ((event.clientX - box.left - MARGIN.left) / frame.inner.width) * (xRange[1] - xRange[0]);
      let best = -1;
      for (let index = 0; index <= end; index += 1) if (best < 0 || Math.abs(spec.xs[index] - wanted) < Math.abs(spec.xs[best] - wanted)) best = index;
      show(best);
    });
    frame.svg.addEventListener("pointerleave", () => show(-1));
    frame.svg.addEventListener("blur", () => show(-1));
    frame.svg.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: at < 0 ? end : at - 1, ArrowRight: at + 1, Home: 0, End: end }[event.key];
      if (to === undefined || end < 0) return;
      event.preventDefault();
      show(Math.min(Math.max(to, 0), end));
      frame.svg.setAttribute("aria-label", words(at));
    });
    const focused = place.contains(document.activeElement);
    place.replaceChildren(legend(shown), h("div", { class: "plot" }, frame.svg, told));
    if (focused) frame.svg.focus({ preventScroll: true });
  });
}

function dot(frame, x, y, colour) {
  const circle = s("circle", { cx: frame.x(x), cy: frame.y(y), r: 3.5 });
  circle.style.fill = colour;
  return circle;
}

// spec: label, clouds [{name, colour, source, points [[x, y or null, row]], front [[x, y]]}], xLabel, yLabel, xRange,
// mark (a vertical line) with markName, unknown (words for points without y), onOpen(source, row).
export function clouds(place, spec) {
  onSize(place, () => {
    const heights = spec.clouds.flatMap((cloud) => [...cloud.points, ...cloud.front].map((point) => point[1]).filter(known));
    const top = 1.12 * Math.max(...heights, 0.1);
    const frame = frameOf(place, { xRange: spec.xRange, yRange: [-0.04 * top, 1.1 * top], xLabel: spec.xLabel, yLabel: spec.yLabel, height: 380 });
    const mark = frame.x(spec.mark);
    frame.svg.append(s("line", { class: "mark", x1: mark, x2: mark, y1: MARGIN.top, y2: frame.bottom }));
    frame.svg.append(s("text", { class: "tick", x: mark + 5, y: frame.bottom - 8 }, spec.markName));
    frame.svg.append(s("text", { class: "tick", x: frame.width - MARGIN.right, y: frame.y(top) - 8, "text-anchor": "end" }, spec.unknown));
    const inside = (value) => Math.min(Math.max(value, spec.xRange[0]), spec.xRange[1]);
    const places = [];
    for (const cloud of spec.clouds) {
      const group = s("g", { class: "cloud" });
      group.style.fill = cloud.colour;
      for (const [x, y, row] of cloud.points) {
        const [left, above] = [frame.x(inside(x)), frame.y(known(y) ? y : top)];
        group.append(s("circle", { cx: left.toFixed(1), cy: above.toFixed(1), r: 3 }));
        places.push({ left, above, x, y, row, cloud });
      }
      frame.svg.append(group);
    }
    for (const cloud of spec.clouds) {
      let text = "";
      cloud.front.forEach(([x, y], index) => {
        const [left, above] = [frame.x(inside(x)).toFixed(1), frame.y(y).toFixed(1)];
        text += index ? `H${left}V${above}` : `M${left} ${above}`;
      });
      if (cloud.front.length) text += `H${frame.width - MARGIN.right}`;
      const front = s("path", { class: "front", d: text });
      front.style.stroke = cloud.colour;
      frame.svg.append(front);
    }
    const ring = s("circle", { class: "ring", r: 6, visibility: "hidden" });
    const told = h("div", { class: "tip", hidden: true });
    frame.svg.append(ring);
    let nearest = null;
    frame.svg.addEventListener("pointermove", (event) => {
      const box = frame.svg.getBoundingClientRect();
      const [left, above] = [event.clientX - box.left, event.clientY - box.top];
      nearest = null;
      let least = 18 ** 2;
      for (const one of places) {
        const distance = (one.left - left) ** 2 + (one.above - above) ** 2;
        if (distance < least) [least, nearest] = [distance, one];
      }
      told.hidden = !nearest;
      ring.setAttribute("visibility", nearest ? "visible" : "hidden");
      if (!nearest) return;
      ring.setAttribute("cx", nearest.left);
      ring.setAttribute("cy", nearest.above);
      told.replaceChildren(h("b", {}, nearest.cloud.name), h("span", {}, `${compact(nearest.x)} eV/atom above hull`), h("span", {}, known(nearest.y) ? `${compact(nearest.y)} Å from the nearest known` : spec.unknown));
      const right = nearest.left > frame.width / 2;
      told.style.left = right ? "" : `${nearest.left + 12}px`;
      told.style.right = right ? `${frame.width - nearest.left + 12}px` : "";
    });
    frame.svg.addEventListener("click", () => nearest && spec.onOpen(nearest.cloud.source, nearest.row));
    const best = spec.clouds.map((cloud) => `${cloud.name}: ${cloud.points.length} shown, ${cloud.front.length} on the front`);
    frame.svg.setAttribute("aria-label", `${spec.label}. ${best.join("; ")}.`);
    place.replaceChildren(legend(spec.clouds), h("div", { class: "plot" }, frame.svg, told));
  });
}
