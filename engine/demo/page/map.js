"use strict";
// The map: streets and shops are drawn once, phones and coupons sixty times a second above them.
// All places are metres east and north of the middle of the town.

const COLOURS = { street: "#39404f", shop: "#5b5f6d", live: "#ffb347", phone: "#8fa3bf", guest: "#7de08a", ink: "#fff4e0" };
const POP_MS = 3500;
const STEP_MS = 1000; // phones glide for this long from one reading to the next

class TownMap {
  constructor(canvas, town) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.town = town;
    this.ground = document.createElement("canvas");
    this.from = this.to = [];
    this.since = 0;
    this.pops = [];
    this.bounds = bounds(town.shops.map((shop) => shop.at));
    new ResizeObserver(() => this.fit()).observe(canvas);
    this.fit();
    requestAnimationFrame((now) => this.frame(now));
  }

  fit() {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = this.canvas.getBoundingClientRect();
    this.canvas.width = this.ground.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = this.ground.height = Math.max(1, Math.round(height * ratio));
    this.unit = ratio;
    const [west, south, east, north] = this.bounds;
    this.scale = Math.min(this.canvas.width / (east - west), this.canvas.height / (north - south));
    this.middle = [(west + east) / 2, (south + north) / 2];
    this.paintGround();
  }

  x(east) { return this.canvas.width / 2 + (east - this.middle[0]) * this.scale; }
  y(north) { return this.canvas.height / 2 - (north - this.middle[1]) * this.scale; }

  paintGround() {
    const pen = this.ground.getContext("2d");
    pen.clearRect(0, 0, this.ground.width, this.ground.height);
    pen.strokeStyle = COLOURS.street;
    pen.lineWidth = Math.max(1, 4 * this.scale);
    pen.lineCap = "round";
    pen.beginPath();
    const lines = this.town.streets;
    for (let i = 0; i < lines.length; i += 4) {
      pen.moveTo(this.x(lines[i]), this.y(lines[i + 1]));
      pen.lineTo(this.x(lines[i + 2]), this.y(lines[i + 3]));
    }
    pen.stroke();
    for (const shop of this.town.shops) this.paintShop(pen, shop);
  }

  paintShop(pen, shop) {
    const x = this.x(shop.at[0]), y = this.y(shop.at[1]);
    pen.fillStyle = shop.live ? COLOURS.live : COLOURS.shop;
    disc(pen, x, y, (shop.live ? 3 : 1.7) * this.unit);
    if (!shop.live) return;
    pen.strokeStyle = "rgb(255 179 71 / .55)";
    pen.fillStyle = "rgb(255 179 71 / .10)";
    pen.lineWidth = this.unit;
    pen.beginPath();
    pen.arc(x, y, this.town.radius_m * this.scale, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }

  tell(state) {
    const now = performance.now();
    this.from = this.to.length === state.dots.length ? this.between(now) : state.dots;
    this.to = state.dots;
    this.since = now;
    const apart = STEP_MS / Math.max(1, state.pops.length); // one second's coupons, one after the other
    state.pops.forEach((pop, n) => this.pops.push({ ...pop, at: pop.at, born: now + n * apart }));
  }

  between(now) {
    const part = Math.min(1, (now - this.since) / STEP_MS);
    return this.to.map((end, i) => this.from[i] + (end - this.from[i]) * part);
  }

  frame(now) {
    const pen = this.context;
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.ground, 0, 0);
    const dots = this.between(now);
    pen.fillStyle = COLOURS.phone;
    const size = 1.6 * this.unit;
    for (let i = 2; i < dots.length; i += 2) pen.fillRect(this.x(dots[i]) - size / 2, this.y(dots[i + 1]) - size / 2, size, size);
    this.paintPops(pen, now);
    if (dots.length) this.paintGuest(pen, this.x(dots[0]), this.y(dots[1]), now);
    requestAnimationFrame((next) => this.frame(next));
  }

  paintGuest(pen, x, y, now) {
    pen.strokeStyle = pen.fillStyle = COLOURS.guest;
    disc(pen, x, y, 4.5 * this.unit);
    pen.lineWidth = 1.5 * this.unit;
    pen.globalAlpha = 1 - (now % 1500) / 1500;
    pen.beginPath();
    pen.arc(x, y, (5 + 12 * (now % 1500) / 1500) * this.unit, 0, 2 * Math.PI);
    pen.stroke();
    pen.globalAlpha = 1;
  }

  paintPops(pen, now) {
    this.pops = this.pops.filter((pop) => now - pop.born < POP_MS).slice(-60);
    pen.font = `600 ${11 * this.unit}px system-ui, sans-serif`;
    const taken = [];
    for (const pop of this.pops.toReversed()) {
      const age = (now - pop.born) / POP_MS;
      if (age < 0) continue;
      const x = this.x(pop.at[0]), y = this.y(pop.at[1]);
      pen.globalAlpha = 1 - age;
      const glow = pen.createRadialGradient(x, y, 0, x, y, 16 * this.unit);
      glow.addColorStop(0, pop.guest ? COLOURS.guest : COLOURS.live);
      glow.addColorStop(1, "rgb(255 179 71 / 0)");
      pen.fillStyle = glow;
      disc(pen, x, y, 16 * this.unit);
      this.label(pen, pop, x, y - (8 + 26 * age) * this.unit, taken);
    }
    pen.globalAlpha = 1;
  }

  // Newest first; a text that would cover another one is left out, its glow stays.
  label(pen, pop, x, y, taken) {
    const half = pen.measureText(pop.title).width / 2, high = 7 * this.unit;
    const left = Math.min(Math.max(x, half + 4), this.canvas.width - half - 4);
    if (taken.some((other) => Math.abs(other.x - left) < other.half + half && Math.abs(other.y - y) < 2 * high)) return;
    taken.push({ x: left, y, half });
    pen.textAlign = "center";
    pen.lineWidth = 3 * this.unit;
    pen.strokeStyle = "rgb(15 17 22 / .85)";
    pen.strokeText(pop.title, left, y);
    pen.fillStyle = COLOURS.ink;
    pen.fillText(pop.title, left, y);
  }
}

function disc(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function bounds(places) {
  const east = places.map((at) => at[0]), north = places.map((at) => at[1]), rim = 40;
  return [Math.min(...east) - rim, Math.min(...north) - rim, Math.max(...east) + rim, Math.max(...north) + rim];
}
