// A crystal that turns: shaded atoms, bonds and the cell on a canvas, back to front, without perspective.

const SPEED = 0.6; // rad/s
const STEP = Math.PI / 24;
const FRAME_MS = 33;
const PIECES = 12; // of an edge of the cell

export const still = window.matchMedia("(prefers-reduced-motion: reduce)");

const spheres = new Map();

// An element's ball, drawn once with its light from the upper left.
function sphere(colour) {
  if (spheres.has(colour)) return spheres.get(colour);
  const size = 128;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  const mix = (part, to) => `color-mix(in srgb, ${colour} ${part}%, ${to})`;
  const light = context.createRadialGradient(size * 0.36, size * 0.32, 0, size * 0.42, size * 0.4, size * 0.62);
  light.addColorStop(0, mix(35, "white"));
  light.addColorStop(0.5, colour);
  light.addColorStop(1, mix(60, "black"));
  context.fillStyle = light;
  context.beginPath();
  context.arc(size / 2, size / 2, size / 2 - 1, 0, 2 * Math.PI);
  context.fill();
  context.strokeStyle = mix(50, "black");
  context.lineWidth = 1.5;
  context.stroke();
  spheres.set(colour, canvas);
  return canvas;
}

const times = (a, b) => a.map((row) => [0, 1, 2].map((j) => row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]));

const around = {
  x: (angle) => [[1, 0, 0], [0, Math.cos(angle), -Math.sin(angle)], [0, Math.sin(angle), Math.cos(angle)]],
  y: (angle) => [[Math.cos(angle), 0, Math.sin(angle)], [0, 1, 0], [-Math.sin(angle), 0, Math.cos(angle)]],
};

const turning = new Set();
let before = 0;

function frame(now) {
  if (!turning.size) return;
  if (now - before >= FRAME_MS) {
    const passed = Math.min(now - before, 100) / 1000;
    before = now;
    for (const view of turning) if (view.inSight && !view.held) view.turn("y", SPEED * passed);
  }
  requestAnimationFrame(frame);
}

const sights = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.view.inSight = entry.isIntersecting;
});

export class CrystalView {
  constructor(canvas, drawing, { zoomable = false } = {}) {
    this.canvas = canvas;
    this.drawing = drawing;
    this.turned = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
    this.zoom = 1;
    this.inSight = true;
    const points = [...drawing.edges.flat(), ...drawing.atoms];
    const middle = [0, 1, 2].map((axis) => {
      const along = drawing.edges.flat().map((point) => point[axis]);
      return (Math.min(...along) + Math.max(...along)) / 2;
    });
    this.place = (point) => [point[0] - middle[0], point[1] - middle[1], point[2] - middle[2]];
    this.largest = Math.max(...Object.values(drawing.elements).map((element) => element.radius));
    this.reach = Math.max(...points.map((point) => Math.hypot(...this.place(point)))) + this.largest;
    canvas.view = this;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.style.touchAction = zoomable ? "none" : "pan-y";
    this.listen(zoomable);
    sights.observe(canvas);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(canvas);
  }

  listen(zoomable) {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.held = [event.clientX, event.clientY];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.held) return;
      const [x, y] = this.held;
      this.held = [event.clientX, event.clientY];
      const scale = 3.2 / Math.max(canvas.clientWidth, 1);
      this.turn("y", (event.clientX - x) * scale);
      this.turn("x", -(event.clientY - y) * scale);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(end, () => (this.held = null));
    canvas.addEventListener("keydown", (event) => {
      const turns = { ArrowLeft: ["y", -STEP], ArrowRight: ["y", STEP], ArrowUp: ["x", STEP], ArrowDown: ["x", -STEP] };
      const zooms = { "+": 1.15, "=": 1.15, "-": 1 / 1.15 };
      if (event.key in turns) this.turn(...turns[event.key]);
      else if (event.key in zooms) this.magnify(zooms[event.key]);
      else return;
      event.preventDefault();
    });
    if (!zoomable) return;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.magnify(event.deltaY < 0 ? 1.1 : 1 / 1.1);
    }, { passive: false });
  }

  magnify(factor) {
    this.zoom = Math.min(Math.max(this.zoom * factor, 0.4), 5);
    this.draw();
  }

  turn(axis, angle) {
    this.turned = times(around[axis](angle), this.turned);
    this.draw();
  }

  spin(on) {
    if (on && !turning.size) {
      before = performance.now();
      requestAnimationFrame(frame);
    }
    if (on) turning.add(this);
    else turning.delete(this);
  }

  close() {
    this.spin(false);
    sights.unobserve(this.canvas);
    this.sizes.disconnect();
  }

  project(point) {
    const [x, y, z] = this.place(point);
    return this.turned.map((row) => row[0] * x + row[1] * y + row[2] * z);
  }

  draw() {
    const { canvas, drawing } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    const scale = (Math.min(width, height) / 2 / this.reach) * this.zoom;
    const at = ([x, y]) => [width / 2 + scale * x, height / 2 + scale * y];
    const style = getComputedStyle(canvas);
    const atoms = drawing.atoms.map((atom) => ({ point: this.project(atom), element: drawing.elements[atom[3]] }));
    const parts = atoms.map((atom) => ({ depth: atom.point[2], atom }));
    for (const [i, j] of drawing.bonds) parts.push({ depth: Math.min(atoms[i].point[2], atoms[j].point[2]) - 1e-3, bond: [atoms[i], atoms[j]] });
    for (const edge of drawing.edges) {
      const [a, b] = edge.map((end) => this.project(end));
      // In pieces, each of which is before or behind an atom by itself; those inside of a ball are behind it.
      const along = (share) => a.map((value, axis) => value + share * (b[axis] - value));
      for (let piece = 0; piece < PIECES; piece += 1) {
        const [from, to] = [along(piece / PIECES), along((piece + 1) / PIECES)];
        parts.push({ depth: (from[2] + to[2]) / 2 - this.largest, edge: [from, to] });
      }
    }
    parts.sort((a, b) => a.depth - b.depth);
    const line = (from, to) => {
      context.beginPath();
      context.moveTo(...at(from));
      context.lineTo(...at(to));
      context.stroke();
    };
    context.lineCap = "round";
    for (const part of parts) {
      if (part.edge) {
        context.strokeStyle = style.getPropertyValue("--cell");
        context.lineWidth = ratio;
        line(...part.edge);
      } else if (part.bond) {
        context.strokeStyle = style.getPropertyValue("--bond");
        context.lineWidth = Math.max(2 * ratio, 0.16 * scale);
        line(part.bond[0].point, part.bond[1].point);
      } else {
        const [x, y] = at(part.atom.point);
        const radius = scale * part.atom.element.radius;
        context.drawImage(sphere(part.atom.element.colour), x - radius, y - radius, 2 * radius, 2 * radius);
      }
    }
  }
}
