
"use strict";
/* A chart of some series over the last minutes: SVG, with a legend that says the values under the
 * pointer, else the latest.  What it needs beyond this file: make(), makeSvg(), say(). */

const LEFT = 58, RIGHT = 8, TOP = 8, BOTTOM = 20;

/* A round number for the top of the axis, and steps that divide it. */
function scaleTo(highest) {
    if (!(highest > 0))
        return { top: 1, step: 1 };
    const power = 10 ** Math.floor(Math.log10(highest / 3));
    const step = [1, 2, 5, 10].map(n => n * power).find(s => s * 4 >= highest);
    return { top: step * Math.ceil(highest / step), step };
}

class Chart {
    /* series: {name, of(sample)}; format(value) for the axis and the legend. */
    constructor(parent, { title, series, format, whole = false, stacked = false, choice = null }) {
        Object.assign(this, { title, series, format, whole, stacked, under: null, samples: [] });
        this.note = make("span", { class: "quiet" });
        const caption = make("figcaption", {}, make("span", {}, title), choice ?? this.note);
        this.values = series.map(() => make("b"));
        const legend = make("ul", { class: "legend" });
        series.forEach((s, i) => {
            const mark = makeSvg("svg", { viewBox: "0 0 20 10", "aria-hidden": "true" });
            mark.append(makeSvg("path", { class: "series s" + i, d: "M0 5H20" }));
            legend.append(make("li", {}, mark, s.name, this.values[i]));
        });
        this.svg = makeSvg("svg", { role: "img" });
        parent.append(make("figure", {}, caption, legend, this.svg));
        this.svg.addEventListener("pointermove", e => this.point(e));
        this.svg.addEventListener("pointerleave", () => { this.under = null; this.draw(); });
        new ResizeObserver(() => this.draw()).observe(this.svg);
    }

    show(samples) {
        this.samples = samples;
        this.draw();
    }

    point(event) {
        const x = event.clientX - this.svg.getBoundingClientRect().left;
        let nearest = null;
        this.samples.forEach((s, i) => {
            const away = Math.abs(this.x(s.at) - x);
            if (s.at >= this.from && (nearest === null || away < nearest.away))
                nearest = { away, at: this.samples[i].at };
        });
        this.under = nearest?.at ?? null;
        this.draw();
    }

    x(at) {
        return LEFT + (at - this.from) / (this.to - this.from) * (this.width - LEFT - RIGHT);
    }

    y(value) {
        return TOP + (1 - value / this.top) * (this.height - TOP - BOTTOM);
    }

    /* One row of values a series, stacked ones with those below added; null where nothing is known. */
    rows() {
        const sums = this.samples.map(() => 0);
        return this.series.map(series => this.samples.map((s, i) => {
            const value = s.gap ? null : series.of(s);
            if (value === null || value === undefined || !isFinite(value))
                return null;
            if (!this.stacked)
                return value;
            return sums[i] += value;
        }));
    }

    draw() {
        const { width, height } = this.svg.getBoundingClientRect();
        if (width === 0)
            return;
        const last = this.samples.at(-1)?.at ?? 0;
        const first = this.samples[0]?.at ?? 0;
        Object.assign(this, { width, height, to: last,
                              from: last - Math.min(KEEP_S, Math.max(SHORTEST_S, last - first)) });
        const rows = this.rows();
        let highest = 0;
        rows.forEach(row => row.forEach((v, i) => {
            if (v !== null && this.samples[i].at >= this.from)
                highest = Math.max(highest, v);
        }));
        const { top, step } = scaleTo(this.whole ? Math.max(highest, 1) : highest);
        this.top = top;
        const parts = [...this.axes(this.whole ? Math.max(1, step) : step)];
        rows.forEach((row, i) => {
            if (this.stacked)
                parts.push(makeSvg("path", { class: "area f" + i, d: this.area(row, rows[i - 1]) }));
        });
        rows.forEach((row, i) =>
            parts.push(makeSvg("path", { class: "series s" + i, d: this.line(row) })));
        const shown = this.underSample();
        if (this.under !== null && shown) {
            const x = this.x(shown.at);
            parts.push(makeSvg("line", { class: "cursor", x1: x, x2: x, y1: TOP, y2: height - BOTTOM }));
        }
        this.svg.replaceChildren(...parts);
        this.tell(shown);
    }

    underSample() {
        return (this.under !== null && this.samples.find(s => s.at === this.under)) || this.samples.at(-1);
    }

    tell(shown) {
        const words = this.series.map((s, i) => {
            const text = shown && !shown.gap ? this.format(s.of(shown)) : "–";
            say(this.values[i], text);
            return s.name + " " + text;
        });
        this.svg.setAttribute("aria-label", this.title + ": " + words.join(", "));
        say(this.note, this.under !== null && shown ? new Date(shown.wall).toLocaleTimeString() : "");
    }

    *axes(step) {
        for (let value = 0; value <= this.top + step / 2; value += step) {
            const y = Math.round(this.y(value)) + .5;
            yield makeSvg("line", { class: "grid", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y });
            const label = makeSvg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" });
            label.textContent = this.format(value);
            yield label;
        }
        const seconds = this.to - this.from, every = seconds > 150 ? 60 : seconds > 90 ? 30 : 20;
        for (let ago = 0; ago <= seconds + .5; ago += every) {
            const anchor = ago === 0 ? "end" : ago + every > seconds + .5 ? "start" : "middle";
            const label = makeSvg("text", { x: this.x(this.to - ago), y: this.height - 4, "text-anchor": anchor });
            label.textContent = ago === 0 ? "now" : every === 60 ? `−${ago / 60} min` : `−${ago} s`;
            yield label;
        }
    }

    /* The known stretches of a row, each a list of [x, y]. */
    stretches(row) {
        const found = [];
        let current = null;
        row.forEach((value, i) => {
            if (value === null || this.samples[i].at < this.from - 2.5) {
                current = null;
                return;
            }
            if (current === null)
                found.push(current = []);
            current.push([Math.max(LEFT, this.x(this.samples[i].at)), this.y(value), i]);
        });
        return found;
    }

    line(row) {
        return this.stretches(row).map(points =>
            "M" + points.map(([x, y]) => x.toFixed(1) + " " + y.toFixed(1)).join("L") +
            (points.length === 1 ? "h.1" : "")).join("");
    }

    area(row, below) {
        return this.stretches(row).map(points => {
            const back = points.map(([x, , i]) =>
                x.toFixed(1) + " " + this.y(below?.[i] ?? 0).toFixed(1)).reverse();
            return "M" + points.map(([x, y]) => x.toFixed(1) + " " + y.toFixed(1)).join("L") + "L" +
                back.join("L") + "Z";
        }).join("");
    }
}
