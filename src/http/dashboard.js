
/* Polls /data.json, keeps the last minutes, draws.  Statements and names come from clients and
 * servers: they only ever become textContent. */

const POLL_MS = 2000, PATIENCE_MS = 6000, KEEP_S = 300, SHORTEST_S = 60;

/* ---- small things ------------------------------------------------------------------- */

const byId = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
        element.setAttribute(key, value);
    element.append(...children);
    return element;
}

function makeSvg(name, attributes = {}) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes))
        element.setAttribute(key, value);
    return element;
}

/* Only what differs, so that a selection in the page lives through a poll. */
function say(element, text) {
    if (element.textContent !== text)
        element.textContent = text;
}

function short(value) {
    if (value === null || value === undefined || !isFinite(value))
        return "–";
    const size = Math.abs(value);
    for (const [unit, word] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]])
        if (size >= unit) {
            const scaled = unit === 1e4 ? value / 1e3 : value / unit;
            return scaled.toFixed(Math.abs(scaled) < 100 ? 1 : 0) + word;
        }
    return size >= 10 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);
}

function bytes(value) {
    return short(value).replace(/[TGMk]?$/, unit => " " + unit + "B");
}

function time(us) {
    if (us === null || us === undefined || !isFinite(us))
        return "–";
    if (us < 1000)
        return us.toFixed(0) + " µs";
    const [value, unit] = us < 1e6 ? [us / 1e3, " ms"] : [us / 1e6, " s"];
    return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0) + unit;
}

function span(seconds) {
    if (seconds < 60)
        return Math.max(0, Math.round(seconds)) + " s";
    if (seconds < 3600)
        return Math.floor(seconds / 60) + " min";
    if (seconds < 86400)
        return Math.floor(seconds / 3600) + " h " + Math.floor(seconds % 3600 / 60) + " min";
    return Math.floor(seconds / 86400) + " d " + Math.floor(seconds % 86400 / 3600) + " h";
}

/* ---- from totals to what happened since the last poll ------------------------------- */

/* Counters that went down: Volvox was started anew, and nothing can be said. */
function rate(before, now, seconds) {
    return before === undefined || now < before ? null : (now - before) / seconds;
}

function bucketsSince(before, now) {
    const was = new Map(before);
    return now.map(([bound, count]) => [bound, count - (was.get(bound) ?? 0)]).filter(b => b[1] > 0);
}

function addBuckets(lists) {
    const sum = new Map();
    for (const list of lists)
        for (const [bound, count] of list)
            sum.set(bound, (sum.get(bound) ?? 0) + count);
    return [...sum].sort((a, b) => a[0] - b[0]);
}

/* Four buckets an octave: the width follows from the upper bound. */
function bucketWidth(bound) {
    return bound <= 4 ? 1 : 2 ** (Math.floor(Math.log2(bound - 1)) - 2);
}

function quantile(buckets, q) {
    const total = buckets.reduce((sum, b) => sum + b[1], 0);
    let left = Math.max(1, Math.ceil(q * total));
    for (const [bound, count] of buckets) {
        if (left <= count)
            return bound - bucketWidth(bound) * (1 - left / count);
        left -= count;
    }
    return null;
}

function quantiles(buckets) {
    return { p50: quantile(buckets, .5), p95: quantile(buckets, .95), p99: quantile(buckets, .99) };
}

function serverKey(server) {
    return server.group + "\n" + server.name;
}

function sample(before, now) {
    const seconds = (now.now_us - before.now_us) / 1e6;
    const counted = name => rate(before.counters[name], now.counters[name], seconds);
    const since = {};
    for (const who of ["primary", "replica", "volvox", "wait"])
        since[who] = bucketsSince(before.latency[who], now.latency[who]);
    const was = new Map(before.servers.map(s => [serverKey(s), s]));
    const total = key => now.servers.reduce((sum, s) => sum + s[key], 0);
    return {
        at: now.now_us / 1e6, wall: now.wall_ms,
        primary: counted("commands_primary"), replica: counted("commands_replica"),
        volvox: counted("commands_answered"), commands: counted("commands"),
        failed: counted("commands_failed"), serverErrors: counted("server_errors"),
        pins: counted("pins"), logins: counted("logins_ok"), waited: counted("leases_waited"),
        bytesOut: counted("bytes_to_clients"), bytesIn: counted("bytes_from_clients"),
        latency: {
            all: quantiles(addBuckets([since.primary, since.replica, since.volvox])),
            primary: quantiles(since.primary), replica: quantiles(since.replica),
            volvox: quantiles(since.volvox), wait: quantiles(since.wait),
        },
        clients: now.gauges.sessions, busy: now.gauges.sessions_busy,
        pinned: now.gauges.sessions_pinned,
        open: total("open"), inUse: total("in_use"), waiting: total("waiting"),
        servers: new Map(now.servers.map(s => [serverKey(s),
            rate(was.get(serverKey(s))?.commands, s.commands, seconds)])),
    };
}

/* ---- tables ------------------------------------------------------------------------- */

/* Rows are kept by key and moved, never made anew, so that focus and open details stay. */
class Table {
    /* columns: {head, label, kind, fill(cell, row, first)}. */
    constructor(element, columns, empty) {
        Object.assign(this, { columns, empty, rows: new Map(), body: element.tBodies[0] });
        const head = element.tHead.rows[0];
        this.heads = columns.map(c => {
            const th = make("th", { scope: "col", role: "columnheader" });
            if (c.kind)
                th.className = c.kind;
            th.append(c.button ?? c.head);
            head.append(th);
            return th;
        });
    }

    makeRow() {
        const row = make("tr", { role: "row" });
        this.columns.forEach((c, i) => {
            const cell = i === 0 && c.isName ? make("th", { scope: "row", role: "rowheader" })
                                             : make("td", { role: "cell" });
            if (c.kind)
                cell.className = c.kind;
            if (c.label)
                cell.dataset.label = c.label;
            c.make?.(cell);
            row.append(cell);
        });
        return row;
    }

    show(list, keyOf) {
        const seen = new Set();
        list.forEach((data, i) => {
            const key = keyOf(data);
            seen.add(key);
            let row = this.rows.get(key);
            if (!row)
                this.rows.set(key, row = this.makeRow());
            this.columns.forEach((c, n) => c.fill(row.cells[n], data));
            if (this.body.rows[i] !== row)
                this.body.insertBefore(row, this.body.rows[i] ?? null);
        });
        for (const [key, row] of this.rows)
            if (!seen.has(key)) {
                row.remove();
                this.rows.delete(key);
            }
        this.showEmpty(list.length === 0);
    }

    showEmpty(isEmpty) {
        if (isEmpty && !this.none) {
            const cell = make("td", { class: "empty", role: "cell", colspan: this.columns.length }, this.empty);
            this.body.append(this.none = make("tr", { role: "row" }, cell));
        } else if (!isEmpty && this.none) {
            this.none.remove();
            this.none = null;
        }
    }
}

/* A cell of a text with small print below. */
const twoLines = {
    make(cell) { cell.append(make("span"), make("small")); },
    fill(cell, text, small) {
        say(cell.children[0], text);
        say(cell.children[1], small);
        cell.children[1].hidden = small === "";
    },
};

function lagOf(s) {
    return s.broken ? "stopped" : s.lag_ms === null ? "–" : time(s.lag_ms * 1000);
}

function drawSpark(svg, values) {
    const known = values.filter(v => v !== null && v !== undefined);
    const top = Math.max(1, ...known);
    let d = "", drawing = false;
    values.forEach((v, i) => {
        if (v === null || v === undefined) {
            drawing = false;
            return;
        }
        const x = values.length > 1 ? i / (values.length - 1) * 100 : 100;
        d += (drawing ? "L" : "M") + x.toFixed(1) + " " + (23 - v / top * 21).toFixed(1);
        drawing = true;
    });
    svg.firstChild.setAttribute("d", d);
}

const serverColumns = [
    { head: "Server", isName: true, make: twoLines.make,
      fill: (cell, s) => twoLines.fill(cell, s.name, s.address) },
    { head: "Role", label: "role", make: twoLines.make,
      fill: (cell, s) => twoLines.fill(cell, s.role, s.group + (s.reads ? ", reads" : "")) },
    { head: "Health", label: "health", kind: "wide",
      make: cell => cell.append(make("span"), make("small")),
      fill: (cell, s) => {
          cell.children[0].className = "health " + s.health;
          const since = s.since_ms ? " for " + span((state.last.wall_ms - s.since_ms) / 1000) : "";
          say(cell.children[0], s.health + since);
          say(cell.children[1], s.health === "up" ? s.version : s.why || s.version);
      } },
    { head: "Lag", label: "lag", kind: "number", fill: (cell, s) => say(cell, lagOf(s)) },
    { head: "Queries/s", label: "queries/s", kind: "number",
      fill: (cell, s) => say(cell, short(state.samples.at(-1)?.servers?.get(serverKey(s)))) },
    { head: "", label: "",
      make: cell => {
          const svg = makeSvg("svg", { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none",
                                       "aria-hidden": "true" });
          svg.append(makeSvg("path"));
          cell.append(svg);
      },
      fill: (cell, s) => drawSpark(cell.firstChild,
          state.samples.map(x => x.servers?.get(serverKey(s)))) },
    { head: "Connections in use / open / limit", label: "in use / open / limit", kind: "wide",
      make: cell => cell.append(make("span"), make("div", { class: "bar", "aria-hidden": "true" },
                                                   make("i"), make("i"))),
      fill: (cell, s) => {
          const share = n => Math.min(100, s.limit ? n / s.limit * 100 : 0) + "%";
          say(cell.children[0], `${s.in_use} / ${s.open} / ${s.limit}`);
          cell.children[1].children[0].style.width = share(s.open);
          cell.children[1].children[1].style.width = share(s.in_use);
      } },
    { head: "Waiting", label: "waiting", kind: "number", fill: (cell, s) => say(cell, short(s.waiting)) },
    { head: "Failed connects", label: "failed connects", kind: "number",
      fill: (cell, s) => say(cell, short(s.failures)) },
    { head: "Weight", label: "weight", kind: "number", fill: (cell, s) => say(cell, String(s.weight)) },
];

function whereOf(d) {
    return ["primary", "replica", "volvox"].filter(w => d[w] > 0)
        .map(w => d[w] === d.count ? w : w + " " + Math.round(d[w] / d.count * 100) + " %").join(", ");
}

function orderedColumn(key, head, text) {
    const button = make("button", { type: "button" }, head);
    button.addEventListener("click", () => orderBy(key));
    return { key, head, button, label: head.toLowerCase(), kind: "number",
             fill: (cell, d) => say(cell, text(d)) };
}

const digestColumns = [
    { head: "Statement", kind: "sql",
      make: cell => cell.append(make("details", {}, make("summary"), make("div", { class: "more" }))),
      fill: (cell, d) => {
          say(cell.firstChild.firstChild, d.text || "(no text)");
          say(cell.firstChild.lastChild, `digest ${d.digest} · went to ${whereOf(d)}` +
              ` · last: user ${d.user}, schema ${d.schema || "none"}, ` + (d.server || "volvox") +
              `, ${new Date(d.seen_ms).toLocaleTimeString()}`);
      } },
    orderedColumn("time", "Total", d => time(d.time) +
        (state.last.digests.time ? " · " + Math.round(d.time / state.last.digests.time * 100) + " %" : "")),
    orderedColumn("count", "Count", d => short(d.count)),
    orderedColumn("avg", "Average", d => time(d.avg)),
    orderedColumn("p95", "p95", d => time(d.p95)),
    orderedColumn("p99", "p99", d => time(d.p99)),
    orderedColumn("max", "Max", d => time(d.max)),
    orderedColumn("rows", "Rows", d => short(d.rows)),
    orderedColumn("errors", "Errors", d => short(d.errors)),
];

/* ---- the page ----------------------------------------------------------------------- */

const state = { last: null, base: null, samples: [], by: "time", ascending: false, paused: false, timer: 0, turn: 0 };

const latencyOf = make("select", { "aria-label": "Latency of" });
for (const [value, text] of [["all", "all commands"], ["primary", "by a primary"], ["replica", "by a replica"],
                             ["volvox", "by Volvox itself"], ["wait", "wait for a connection"]])
    latencyOf.append(make("option", { value }, text));

const charts = [
    { title: "Queries per second", format: short, stacked: true, series: [
        { name: "primary", of: s => s.primary }, { name: "replica", of: s => s.replica },
        { name: "volvox", of: s => s.volvox }] },
    { title: "Latency", format: time, choice: latencyOf, series: [
        { name: "p50", of: s => s.latency[latencyOf.value].p50 },
        { name: "p95", of: s => s.latency[latencyOf.value].p95 },
        { name: "p99", of: s => s.latency[latencyOf.value].p99 }] },
    { title: "Connections", format: short, whole: true, series: [
        { name: "clients", of: s => s.clients }, { name: "busy", of: s => s.busy },
        { name: "to servers", of: s => s.open }, { name: "in use", of: s => s.inUse }] },
    { title: "Waiting and pinned sessions", format: short, whole: true, series: [
        { name: "waiting", of: s => s.waiting }, { name: "pinned", of: s => s.pinned }] },
].map(c => new Chart(byId("charts"), c));

const tiles = [
    ["Queries/s", s => short(s.commands), s => bytes(s.bytesOut) + "/s out"],
    ["Latency p95", s => time(s.latency.all.p95), s => "p50 " + time(s.latency.all.p50)],
    ["Clients", s => short(s.clients), s => short(s.busy) + " busy"],
    ["Server conns", s => short(s.inUse), s => "in use, " + short(s.open) + " open"],
    ["Waiting", s => short(s.waiting), s => short(s.waited) + "/s had to"],
    ["Pinned", s => short(s.pinned), s => short(s.pins) + "/s new"],
    ["Errors/s", s => short(s.failed === null ? null : s.failed + s.serverErrors),
     s => short(s.failed) + " by Volvox"],
].map(([title, value, small]) => {
    const number = make("span", {}, "–"), note = make("small");
    byId("tiles").append(make("div", {}, make("dt", {}, title), make("dd", {}, number, note)));
    return s => { say(number, value(s)); say(note, small(s)); };
});

const serverTable = new Table(byId("servers"), serverColumns, "no servers are configured");
const digestTable = new Table(byId("digests"), digestColumns, "no statement has been seen yet");

function drawDigests() {
    const all = state.last.digests, list = [...all.rows];
    list.sort((a, b) => (state.ascending ? 1 : -1) * (a[state.by] - b[state.by]) || (a.digest < b.digest ? -1 : 1));
    digestTable.show(list, d => d.digest);
    digestColumns.forEach((c, i) => {
        if (c.key === state.by)
            digestTable.heads[i].setAttribute("aria-sort", state.ascending ? "ascending" : "descending");
        else
            digestTable.heads[i].removeAttribute("aria-sort");
    });
    say(byId("digests-note"), (all.total > list.length ? `the first ${list.length} of ${all.total}` : `${all.total}`) +
        " different statements, literals left out" +
        (all.evicted ? `; ${short(all.evicted)} were dropped to make place` : ""));
}

function drawHeader() {
    const now = state.last, badge = byId("badge"), alarm = byId("alarm");
    say(badge, now.stopping ? "stopping" : now.ready ? "ready" : "not ready");
    badge.className = "badge " + (now.ready ? "good" : "bad");
    say(byId("about"), `version ${now.version} · up ${span((now.wall_ms - now.started_ms) / 1000)} · ` +
        `${now.workers} workers`);
    say(alarm, now.why);
    alarm.hidden = now.ready;
}

function draw() {
    const sample = state.samples.findLast(s => !s.gap);
    drawHeader();
    if (sample)
        for (const tile of tiles)
            tile(sample);
    for (const chart of charts)
        chart.show(state.samples);
    serverTable.show(state.last.servers, serverKey);
    drawDigests();
}

/* A new order of the digests brings data between two polls: too soon to make rates from. */
function take(data) {
    if (state.base?.started_ms !== data.started_ms)
        Object.assign(state, { base: data, samples: [] });
    if (data.now_us - state.base.now_us >= POLL_MS * 500) {
        state.samples.push(sample(state.base, data));
        state.base = data;
    }
    state.last = data;
    const oldest = data.now_us / 1e6 - KEEP_S - 5;
    state.samples = state.samples.filter(s => s.at > oldest);
    draw();
}

/* What happened while nobody answered is not drawn as a straight line. */
function lost(reason) {
    const badge = byId("badge"), alarm = byId("alarm"), last = state.samples.at(-1);
    if (last && !last.gap)
        state.samples.push({ at: last.at + .001, wall: last.wall, gap: true });
    say(badge, "no answer");
    badge.className = "badge bad";
    say(alarm, "Volvox does not answer: " + reason + ". What is shown is old.");
    alarm.hidden = false;
}

async function poll() {
    const turn = ++state.turn;
    clearTimeout(state.timer);
    try {
        const response = await fetch("data.json?by=" + state.by,
                                     { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
        if (!response.ok)
            throw new Error("status " + response.status);
        const data = await response.json();
        if (turn === state.turn && !state.paused)
            take(data);
    } catch (error) {
        if (turn === state.turn)
            lost(error.message);
    }
    if (turn === state.turn && !state.paused)
        state.timer = setTimeout(poll, state.samples.length > 0 ? POLL_MS : POLL_MS / 2);
}

/* The server sends the first of all in this order, so a new order needs new rows; those at hand are
 * put in order at once. */
function orderBy(key) {
    state.ascending = key === state.by && !state.ascending;
    state.by = key;
    if (state.last)
        drawDigests();
    if (!state.paused)
        poll();
}

latencyOf.addEventListener("change", () => charts.forEach(c => c.draw()));
byId("pause").addEventListener("click", event => {
    state.paused = !state.paused;
    event.target.setAttribute("aria-pressed", state.paused);
    say(event.target, state.paused ? "Paused" : "Pause");
    if (state.paused)
        clearTimeout(state.timer);
    else
        poll();
});
poll();
