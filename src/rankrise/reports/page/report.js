"use strict";
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const coarse = matchMedia("(pointer: coarse)").matches || innerWidth < 640;
  // Of Okabe and Ito; those that are dim on a dark ground come last there.
  const palettes = {
    light: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5b6675"],
    dark: ["#56B4E9", "#E69F00", "#2CC79C", "#E8A3C9", "#F0E442", "#F07A3A", "#a0abbb"],
  };
  const dashes = ["solid", "dash", "dot", "dashdot"];
  const drawn = [];

  // Storage is refused to pages of files in some browsers.
  const kept = {
    get(key) { try { return sessionStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { sessionStorage.setItem(key, value); } catch { /* no matter */ } },
  };
  const wanted = kept.get("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const setTheme = (name) => { root.dataset.theme = name; drawn.forEach((draw) => draw()); };
  root.dataset.theme = wanted || (system.matches ? "dark" : "light");
  system.addEventListener("change", () => kept.get("theme") || setTheme(system.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => {
    const other = root.dataset.theme === "dark" ? "light" : "dark";
    kept.set("theme", other);
    setTheme(other);
  });

  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const colour = (place) => palettes[root.dataset.theme][place % 7];
  const dash = (place) => dashes[Math.floor(place / 7) % 4];
  const short = (label, most = 40) => (String(label).length > most ? `${String(label).slice(0, most - 1)}…` : String(label));
  // Plotly reads a few tags and %{...} in text; labels shall be shown as they are.
  const text = (label, most = 40) => short(label, most).replace(/&/g, "&amp;").replace(/</g, "&lt;")
    .replace(/>/g, "&gt;").replace(/%\{/g, "%&#123;");
  // Categories that read alike would be one, so they are cut along the axis only.
  const category = (label) => text(label, 500);
  const number = (value) => (value === null || !Number.isFinite(value) ? "–" : Number(value.toPrecision(4)).toString());
  const decode = (packed, Kind) => {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    return new Kind(bytes.buffer);
  };
  const element = (kind, properties = {}, ...inner) => {
    const made = Object.assign(document.createElement(kind), properties);
    made.append(...inner);
    return made;
  };

  // Tables.
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const cell = button.closest("th");
      const body = cell.closest("table").tBodies[0];
      const up = cell.getAttribute("aria-sort") !== "ascending";
      for (const other of cell.parentNode.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => {
        const { dataset, textContent } = row.cells[cell.cellIndex];
        return "value" in dataset ? Number(dataset.value) : textContent;
      };
      const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b
        : typeof a === typeof b ? a.localeCompare(b, undefined, { numeric: true })
          : typeof a === "number" ? -1 : 1);
      const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * compare(value(a), value(b)));
      body.append(...rows);
    });
  }
  const save = (name, rows) => {
    const field = (value) => {
      if (value === null || value === undefined || Number.isNaN(value)) return "";
      if (typeof value === "number") return String(value);
      // A spreadsheet would take such words for formulas.
      const words = /^[=+@\t\r-]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : String(value);
      return /[",\r\n]/.test(words) ? `"${words.replace(/"/g, '""')}"` : words;
    };
    const content = rows.map((row) => row.map(field).join(",")).join("\r\n");
    const link = element("a", {
      href: URL.createObjectURL(new Blob(["\ufeff", content, "\r\n"], { type: "text/csv" })),
      download: `${name.replace(/[^\w.-]+/g, "-").slice(0, 80)}.csv`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  for (const button of document.querySelectorAll("details .csv")) {
    button.addEventListener("click", () => {
      const details = button.closest("details");
      const rows = [...details.querySelector("table").rows].map((row) => [...row.cells].map(
        (cell) => ("value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent)));
      save(details.dataset.name, rows);
    });
  }

  // Controls; what was chosen is kept when the page is loaded anew.
  const controls = (figure) => {
    const place = figure.querySelector(".controls");
    const key = (label) => `${data.runs[figure.dataset.run].name}/${figure.dataset.panel}/${label}`;
    return {
      select(label, options, value, changed) {
        const stored = kept.get(key(label));
        const input = element("select");
        options.forEach((name, index) => input.append(element("option", { value: index, textContent: short(name) })));
        input.value = stored !== null && stored < options.length ? stored : value;
        input.addEventListener("change", () => { kept.set(key(label), input.value); changed(); });
        const whole = element("label", {}, `${label} `, input);
        whole.hidden = options.length < 2;
        whole.style.display = whole.hidden ? "none" : "";
        place.append(whole);
        return () => Number(input.value);
      },
      check(label, value, changed, into = place, mark = null) {
        const stored = kept.get(key(label));
        const input = element("input", { type: "checkbox", checked: stored === null ? value : stored === "1" });
        input.addEventListener("change", () => { kept.set(key(label), input.checked ? "1" : "0"); changed(); });
        const parts = mark === null ? [input, ` ${label}`]
          : [input, Object.assign(element("span", { className: "swatch" })), ` ${label}`];
        const whole = element("label", {}, ...parts);
        if (mark !== null) drawn.push(() => { parts[1].style.background = colour(mark); }), parts[1].style.background = colour(mark);
        into.append(whole);
        return () => input.checked;
      },
      slider(label, count, value, words, changed) {
        const stored = kept.get(key(label));
        const start = stored !== null && stored < count ? Number(stored) : value;
        const input = element("input", { type: "range", min: 0, max: count - 1, step: 1, value: start });
        const output = element("output");
        const name = element("span", { textContent: short(label) });
        const show = () => {
          output.textContent = words(Number(input.value));
          input.setAttribute("aria-valuetext", output.textContent);
        };
        input.addEventListener("input", () => { kept.set(key(label), input.value); show(); changed(); });
        input.setAttribute("aria-label", short(label));
        const whole = element("label", { className: "slider" }, name, input, output);
        place.append(whole);
        show();
        const read = () => Number(input.value);
        read.element = whole;
        read.show = show;
        return read;
      },
      place,
    };
  };
  const plot = (figure, title, className = "") => {
    const inner = element("div");
    const heading = title === null ? [] : [element("h4", { textContent: title, title })];
    const outer = element("div", { className: `plot ${className} ${title === null ? "bare" : ""}` }, ...heading, inner);
    figure.querySelector(".plots").append(outer);
    inner.outer = outer;
    inner.heading = heading[0];
    return inner;
  };
  const axis = (title, more = {}) => ({
    title: { text: text(title, 28), standoff: 6 }, gridcolor: css("--grid"), zerolinecolor: css("--line"),
    linecolor: css("--line"), tickcolor: css("--line"), automargin: true, nticks: innerWidth < 640 ? 5 : 7, ...more,
  });
  const spans = { number: "linear", date: "date", word: "category" };
  // The axis of a mode: some of its words, cut short, leave room for the figure.
  const mode = ({ kind, labels }, title, more = {}) => {
    const every = Math.ceil(labels.length / (innerWidth < 640 ? 8 : 12));
    const some = kind === "word" ? labels.filter((_, place) => place % every === 0) : [];
    const ticks = kind === "word" ? { tickvals: some.map(category), ticktext: some.map((label) => text(label, 14)) } : {};
    return axis(title, { type: spans[kind], ...ticks, ...more });
  };
  const layout = (x, y, more = {}) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: css("--ink") },
    margin: { l: 54, r: 14, t: 26, b: 42 }, hovermode: "closest", dragmode: coarse ? false : "zoom",
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--soft"), font: { color: css("--ink") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: css("--accent") },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
    colorway: palettes[root.dataset.theme], xaxis: x, yaxis: y, uirevision: "kept", ...more,
  });
  const config = {
    responsive: true, displaylogo: false, displayModeBar: coarse ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    // From version 4 on a button sends charts elsewhere.
    showSendToCloud: false, plotlyServerURL: "",
  };
  const react = (place, traces, shape) => window.Plotly.react(place, traces, shape, config);
  // Within two decades 2 and 5 have ticks besides; beyond, some powers of ten.
  const logarithmic = (values) => {
    const positive = values.filter((value) => value > 0);
    const [low, high] = [Math.min(...positive, 1e300), Math.max(...positive, 1e-300)].map(Math.log10);
    if (high - low > 2) return { type: "log", exponentformat: "power", dtick: Math.ceil((high - low) / 6) };
    const tickvals = [];
    for (let power = Math.floor(low) - 1; power <= high + 1; power += 1) tickvals.push(...[1, 2, 5].map((first) => Number(`${first}e${power}`)));
    return { type: "log", tickvals, ticktext: tickvals.map(number) };
  };
  const vertical = (at, label = "", side = "left") => ({
    type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1,
    line: { color: css("--soft"), width: 1, dash: "dash" },
    label: { text: text(label), textposition: side === "left" ? "end" : "start", textangle: 0, xanchor: side, yanchor: side === "left" ? "top" : "bottom", font: { size: 11, color: css("--soft") } },
  });

  const kinds = {
    curves(figure, panel) {
      const parts = controls(figure);
      const positive = panel.traces.filter((each) => each.axis !== 2)
        .every((each) => each.y.every((value) => value === null || value > 0));
      const bars = panel.traces.some((each) => each.mode === "bars");
      const log = positive && !bars ? parts.check("logarithmic", Boolean(panel.log), () => draw()) : () => false;
      const place = plot(figure, null);
      const draw = () => {
        const traces = panel.traces.map((each, number) => {
          const made = {
            x: each.x, y: each.y, name: text(each.name), yaxis: each.axis === 2 ? "y2" : "y",
            hovertemplate: `${text(panel.x)}: %{x:.5~g}<br>${text(each.name)}: %{y:.5~g}<extra></extra>`,
          };
          if (each.text) Object.assign(made, { text: each.text.map((label) => text(label)), hovertemplate: `%{text}<br>${text(each.name)}: %{y:.5~g}<extra></extra>` });
          if (each.error) {
            made.error_y = { type: "data", array: each.error, thickness: 1, width: 3, color: colour(number) };
            if (each.below) Object.assign(made.error_y, { symmetric: false, arrayminus: each.below });
          }
          if (each.mode === "bars") return { ...made, type: "bar", marker: { color: colour(number), opacity: 0.75 } };
          const small = each.y.length > 200;
          return {
            ...made, type: "scatter", mode: each.mode || "lines",
            line: { color: colour(number), width: 2, dash: each.dash || dash(number) },
            marker: { color: colour(number), size: small ? 4 : 7, opacity: small ? 0.5 : 1 },
          };
        });
        const furthest = Math.max(...panel.traces.flatMap((each) => each.x));
        const marks = (panel.marks || []).map((mark) => ("x" in mark ? vertical(mark.x, mark.label, mark.x > furthest / 2 ? "right" : "left") : {
          type: "line", y0: mark.y, y1: mark.y, xref: "paper", x0: 0, x1: 1,
          line: { color: css("--soft"), width: 1, dash: "dash" },
          label: { text: text(mark.label), textposition: "start", yanchor: "top", font: { size: 11, color: css("--soft") } },
        }));
        const zero = !log() && !panel.traces.some((each) => each.mode === "markers" && each.axis !== 2) && positive;
        const whole = panel.traces.every((each) => each.x.every(Number.isInteger)) && !panel.logx;
        const x = axis(panel.x, panel.logx ? logarithmic(panel.traces.flatMap((each) => each.x)) : whole ? { tickformat: "d" } : {});
        // A few bars are no wider than many.
        if (bars) x.range = [0.4, Math.max(3, ...panel.traces.flatMap((each) => each.x)) + 0.6];
        if (whole && Math.max(...panel.traces.flatMap((each) => each.x)) <= 12) x.dtick = 1;
        const y = axis(panel.y, { ...(log() ? logarithmic(panel.traces.flatMap((each) => (each.axis === 2 ? [] : each.y))) : { type: "linear" }), ...(zero ? { rangemode: "tozero" } : {}) });
        const shape = layout(x, y, { shapes: marks, ...(panel.traces.length > 8 ? { showlegend: false } : {}) });
        if (panel.traces.some((each) => each.axis === 2)) {
          shape.yaxis2 = axis(panel.y2, { overlaying: "y", side: "right", range: [0, 1.08], showgrid: false, tickmode: "array", tickvals: [0, 0.5, 1] });
          shape.margin.r = 50;
        }
        return react(place, traces, shape);
      };
      const below = panel.traces.some((each) => each.below);
      const rows = () => [["curve", panel.x, panel.y, ...(below ? ["above", "below"] : ["error"])], ...panel.traces.flatMap((each) => each.x.map(
        (x, number) => [each.name, x, each.y[number], each.error ? each.error[number] : null, ...(below ? [each.below[number]] : [])]))];
      return { draw, rows };
    },

    staircase(figure, panel) {
      const parts = controls(figure);
      const run = parts.select("run", panel.runs.map((each) => each.name), panel.runs.length - 1, () => { limits(); draw(); });
      const clock = parts.select("against", ["steps", "time"], 0, () => { time.show(); draw(); });
      const log = parts.check("logarithmic", false, () => draw());
      const which = () => panel.runs[run()];
      const places = () => (clock() && which().time.every(Number.isFinite) ? which().time : which().step);
      const longest = Math.max(...panel.runs.map((each) => each.step.length));
      const at = () => Math.min(time(), which().step.length - 1);
      const time = parts.slider("time", longest, which().step.length - 1, (value) => {
        const save = Math.min(value, which().step.length - 1);
        return `${clock() ? "time" : "step"} ${number(places()[save])}`;
      }, () => draw());
      const limits = () => {
        const input = time.element.querySelector("input");
        input.max = which().step.length - 1;
        input.value = input.max;
        time.show();
      };
      if (at() < longest - 1) time.element.querySelector("input").max = which().step.length - 1;
      const lines = plot(figure, null, "tall");
      const bars = plot(figure, null, "tall");
      const draw = () => {
        const { norms } = which();
        const traces = norms.map((values, place) => ({
          x: places(), y: values, name: `component ${place + 1}`, type: "scatter", mode: "lines",
          line: { color: colour(place), width: place < 7 ? 2 : 1, dash: dash(place) }, showlegend: place < 7,
          hovertemplate: `${clock() ? "time" : "step"} %{x:.5~g}<br>component ${place + 1}: %{y:.4~g}<extra></extra>`,
        }));
        const top = 1.05 * Math.max(...norms.flat().filter((value) => value !== null), 1e-12);
        const y = axis("component norm", log() ? logarithmic(norms.flat()) : { type: "linear", range: [0, top] });
        const x = axis(clock() ? "time of gradient flow" : "steps");
        const done = react(lines, traces, layout(x, y, { shapes: [vertical(places()[at()])] }));
        const heights = norms.map((values) => values[at()]);
        const now = axis("norm at the slider", log() ? logarithmic(norms.flat()) : { type: "linear", range: [0, top] });
        const shape = layout(axis("component", { dtick: norms.length > 8 ? null : 1, tickformat: "d" }), now, { showlegend: false });
        return Promise.all([done, react(bars, [{
          type: "bar", x: heights.map((_, place) => place + 1), y: heights,
          marker: { color: heights.map((_, place) => colour(place)) },
          hovertemplate: "component %{x}: %{y:.4~g}<extra></extra>",
        }], shape)]);
      };
      const rows = () => [["step", "time", ...which().norms.map((_, place) => `component ${place + 1}`)],
        ...which().step.map((step, save) => [step, which().time[save], ...which().norms.map((values) => values[save])])];
      return { draw, rows };
    },

    errors(figure, panel) {
      const parts = controls(figure);
      const names = [...new Set(panel.series.map((each) => each.name))];
      const name = parts.select("show", names, 0, () => draw());
      const clock = parts.select("against", ["steps", "time"], 0, () => draw());
      const log = parts.check("logarithmic", false, () => draw());
      const place = plot(figure, null);
      const shown = () => panel.series.filter((each) => each.name === names[name()]);
      const draw = () => {
        const traces = shown().map((each, row) => ({
          x: clock() && each.time.every(Number.isFinite) ? each.time : each.step, y: each.values,
          name: text(each.run), type: "scatter", mode: "lines",
          line: { color: colour(row), dash: row < 4 ? dashes[row] : dash(row), width: 2 },
          hovertemplate: `${clock() ? "time" : "step"} %{x:.5~g}<br>${names[name()]}: %{y:.4~g}<extra></extra>`,
        }));
        const y = axis(names[name()], log() ? logarithmic(shown().flatMap((each) => each.values)) : { type: "linear", rangemode: "tozero" });
        return react(place, traces, layout(axis(clock() ? "time of gradient flow" : "steps"), y, { showlegend: true }));
      };
      const rows = () => [["run", "step", "time", names[name()]], ...shown().flatMap((each) => each.step.map(
        (step, save) => [each.run, step, each.time[save], each.values[save]]))];
      return { draw, rows };
    },

    slices(figure, panel) {
      const { axes, dims } = panel;
      const order = dims.length;
      const arrays = {};
      const values = (name) => (arrays[name] = arrays[name] || decode(panel.arrays[name], Float32Array));
      const strides = dims.map((_, mode) => dims.slice(mode + 1).reduce((product, dim) => product * dim, 1));
      const names = Object.keys(panel.arrays);
      const parts = controls(figure);
      const north = axes.findIndex((each) => each.place === "latitude");
      const east = axes.findIndex((each) => each.place === "longitude");
      const isMap = north >= 0 && east >= 0;
      const modes = axes.map((_, mode) => mode);
      const usual = isMap ? modes.find((mode) => mode !== north && mode !== east)
        : axes.some((each) => each.kind === "date") ? axes.findIndex((each) => each.kind === "date") : order - 1;
      const quantity = parts.select("show", names, Math.max(0, names.indexOf("completed")), () => draw());
      const along = order > 2 ? parts.select("slider along", axes.map((each) => each.title), usual ?? order - 1, () => { arrange(); draw(); }) : () => -1;
      const label = (mode, index) => {
        const { kind, labels } = axes[mode];
        if (kind === "date") return String(labels[index]).replace("T00:00:00", "");
        return kind === "number" ? number(labels[index]) : short(labels[index]);
      };
      const sliders = order > 2 ? modes.map((mode) => parts.slider(axes[mode].title, dims[mode], Math.floor(dims[mode] / 2),
        (value) => label(mode, value), () => draw())) : [];
      const own = parts.check("colours of this slice alone", false, () => draw());
      let down; let across; let picked;
      const arrange = () => {
        const rest = modes.filter((mode) => mode !== along());
        [down, across] = rest.includes(north) && rest.includes(east) ? [north, east] : rest;
        sliders.forEach((each, mode) => { each.element.style.display = mode === down || mode === across ? "none" : ""; });
        picked = [Math.floor(dims[down] / 2), Math.floor(dims[across] / 2)];
      };
      const fiber = () => (order > 2 ? along() : across);
      const index = (row, column) => modes.reduce((sum, mode) => sum + strides[mode] * (mode === down ? row
        : mode === across ? column : sliders[mode]()), 0);
      const matrix = (name) => Array.from({ length: dims[down] }, (_, row) => Array.from({ length: dims[across] }, (__, column) => {
        const value = values(name)[index(row, column)];
        return Number.isNaN(value) ? null : value;
      }));
      const span = (list) => {
        let [low, high] = [Infinity, -Infinity];
        for (const name of list) for (const value of values(name)) {
          if (value < low) low = value;
          if (value > high) high = value;
        }
        return [low, high];
      };
      const common = span(names.filter((name) => name === "observed" || name === "completed"));
      const range = (name) => {
        if (name === "residual") { const most = Math.max(...span([name]).map(Math.abs)); return [-most, most]; }
        return name === "standard deviation" ? [0, span([name])[1]] : common;
      };
      const scale = (name) => (name === "residual" ? "RdBu" : name === "standard deviation" ? "Cividis" : "Viridis");
      const left = names.includes("observed") ? plot(figure, "observed", "tall") : null;
      const right = plot(figure, "", "tall");
      const line = plot(figure, "", "full");
      arrange();
      const draw = () => {
        if (!names.length) return null;
        const both = [down, across];
        const [geo, image] = [down === north && across === east, both.every((mode) => axes[mode].kind === "number")];
        const ratio = dims[down] / dims[across];
        const latitudes = geo ? axes[down].labels : [];
        const square = geo ? { scaleanchor: "x", scaleratio: 1 / Math.max(0.1, Math.cos((latitudes[0] + latitudes.at(-1)) * Math.PI / 360)), constrain: "domain" }
          : image && both.every((mode) => axes[mode].labels.every((value, at) => value === at)) && ratio < 4 && ratio > 0.25
            ? { scaleanchor: "x", scaleratio: 1, constrain: "domain" } : {};
        const ticks = (mode) => (axes[mode].kind === "word" ? axes[mode].labels.map(category) : axes[mode].labels);
        const heat = (place, name) => {
          const z = matrix(name);
          const flat = z.flat().filter((value) => value !== null);
          const whole = flat.length && own() && name !== "residual";
          const [low, high] = whole ? [Math.min(...flat), Math.max(...flat)] : range(name);
          const traces = [{
            type: "heatmap", z, x: ticks(across), y: ticks(down), zmin: low, zmax: high,
            colorscale: scale(name), reversescale: false, hoverongaps: false,
            colorbar: { thickness: 10, len: 1, outlinewidth: 0, title: { text: text(panel.unit), side: "right" }, nticks: 6 },
            hovertemplate: `${text(axes[down].title)}: %{y}<br>${text(axes[across].title)}: %{x}<br>${text(name)}: %{z:.5~g}<extra></extra>`,
          }, {
            type: "scatter", mode: "markers", x: [ticks(across)[picked[1]]], y: [ticks(down)[picked[0]]], hoverinfo: "skip",
            marker: { symbol: "circle-open", size: 13, color: "#ffffff", line: { width: 3, color: "#D55E00" } }, showlegend: false,
          }];
          const x = mode(axes[across], axes[across].title, { constrain: "domain", showgrid: false, zeroline: false });
          const y = mode(axes[down], axes[down].title, { showgrid: false, zeroline: false, ...square, ...(geo && latitudes[0] < latitudes.at(-1) ? {} : { autorange: geo ? true : "reversed" }) });
          const done = react(place, traces, layout(x, y, { plot_bgcolor: css("--gap"), showlegend: false, uirevision: `${down}-${across}` }));
          if (!place.heard) {
            place.heard = true;
            place.on("plotly_click", ({ points }) => {
              const { pointIndex } = points.find((point) => Array.isArray(point.pointIndex)) || {};
              if (pointIndex) { picked = pointIndex; draw(); }
            });
            place.tabIndex = 0;
            place.setAttribute("role", "group");
            place.setAttribute("aria-label", "cells; arrow keys choose one");
            place.addEventListener("keydown", (event) => {
              const upwards = north === down && axes[down].labels[0] < axes[down].labels.at(-1) ? 1 : -1;
              const step = { ArrowUp: [upwards, 0], ArrowDown: [-upwards, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
              if (!step) return;
              event.preventDefault();
              picked = [down, across].map((mode, way) => Math.min(dims[mode] - 1, Math.max(0, picked[way] + step[way])));
              draw();
            });
          }
          return done;
        };
        const name = names[quantity()];
        right.heading.textContent = name;
        const pair = left && name !== "observed";
        if (left) left.outer.style.display = pair ? "" : "none";
        right.outer.classList.toggle("full", !pair);
        const done = [heat(right, name)];
        if (pair) done.push(heat(left, "observed"));
        const fibers = fiber();
        const at = (array) => Array.from({ length: dims[fibers] }, (_, place) => {
          const entry = index(...picked) + strides[fibers] * (place - (order > 2 ? sliders[fibers]() : picked[1]));
          const value = values(array)[entry];
          return Number.isNaN(value) ? null : value;
        });
        const x = ticks(fibers);
        const hover = (array) => ({ hovertemplate: `${text(axes[fibers].title)}: %{x}<br>${array}: %{y:.5~g}<extra></extra>` });
        const traces = [];
        const completed = at("completed");
        let words = "";
        let bounds = null;
        if (names.includes("lower bound") && names.includes("upper bound")) {
          bounds = [at("lower bound"), at("upper bound")];
          words = "interval";
        } else if (names.includes("standard deviation")) {
          const spread = at("standard deviation");
          bounds = [-1, 1].map((sign) => completed.map((value, place) => (value === null ? null : value + sign * (spread[place] || 0))));
          words = "± one standard deviation";
        }
        if (bounds) {
          traces.push({ x, y: bounds[0], mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false, connectgaps: false });
          traces.push({ x, y: bounds[1], mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: `${colour(0)}33`, name: words, hoverinfo: "skip" });
        }
        traces.push({ x, y: completed, mode: x.length > 60 ? "lines" : "lines+markers", name: "completed", line: { color: colour(0), width: 2 }, marker: { size: 4 }, ...hover("completed") });
        if (names.includes("observed")) traces.push({ x, y: at("observed"), mode: "markers", name: "observed", marker: { color: colour(1), size: 8, symbol: "circle-open", line: { width: 2 } }, ...hover("observed") });
        const through = modes.filter((each) => each !== fibers).map((each) => `${axes[each].title} ${label(each, each === down ? picked[0] : each === across ? picked[1] : sliders[each]())}`);
        line.heading.textContent = `through ${through.map((words_) => short(words_)).join(", ")}`;
        const shape = layout(mode(axes[fibers], axes[fibers].title), axis(panel.unit || "value"), {
          showlegend: true, shapes: order > 2 ? [vertical(axes[fibers].kind === "word" ? sliders[fibers]() : x[sliders[fibers]()])] : [],
        });
        done.push(react(line, traces, shape));
        return Promise.all(done);
      };
      const rows = () => {
        const others = modes.filter((mode) => mode !== down && mode !== across);
        const table = [[...others, down, across].map((mode) => axes[mode].title).concat(names)];
        for (let row = 0; row < dims[down]; row += 1) {
          for (let column = 0; column < dims[across]; column += 1) {
            table.push([...others.map((mode) => axes[mode].labels[sliders[mode]()]), axes[down].labels[row], axes[across].labels[column],
              ...names.map((name) => values(name)[index(row, column)])]);
          }
        }
        return table;
      };
      return { draw, rows };
    },

    picture(figure, panel) {
      const [height, width] = panel.dims;
      const names = Object.keys(panel.pictures);
      const pixels = names.map((name) => {
        const bytes = decode(panel.pictures[name], Uint8Array);
        return Array.from({ length: height }, (_, row) => Array.from({ length: width }, (__, column) => {
          const start = 4 * (row * width + column);
          return Array.from(bytes.subarray(start, start + 4));
        }));
      });
      const places = names.map((name) => plot(figure, name, "tall"));
      const draw = () => Promise.all(places.map((place, number_) => react(place, [{
        type: "image", z: pixels[number_], colormodel: "rgba256",
        hovertemplate: "row %{y}, column %{x}<br>red %{z[0]}, green %{z[1]}, blue %{z[2]}<extra></extra>",
      }], layout(axis("", { visible: false, constrain: "domain" }), axis("", { visible: false, constrain: "domain", scaleanchor: "x", autorange: "reversed" }), {
        margin: { l: 0, r: 0, t: 6, b: 0 }, plot_bgcolor: css("--gap"),
      }))));
      const rows = () => [["picture", "row", "column", "red", "green", "blue", "observed"], ...names.flatMap((name, number_) => pixels[number_].flatMap(
        (line, row) => line.map(([red, green, blue, opaque], column) => [name, row, column, red, green, blue, opaque ? 1 : 0])))];
      return { draw, rows };
    },

    factors(figure, panel) {
      const { axes, models } = panel;
      const parts = controls(figure);
      const north = axes.findIndex((each) => each.place === "latitude");
      const east = axes.findIndex((each) => each.place === "longitude");
      const isMap = north >= 0 && east >= 0;
      const forms = isMap ? ["map", "lines", "bars"] : ["as fits", "lines", "bars"];
      const model = parts.select("model", models.map((each) => each.name), panel.start, () => draw());
      const form = parts.select("as", forms, 0, () => draw());
      const count = Math.max(...models.map((each) => each.norms.length));
      const picks = element("fieldset", { className: "picks" });
      parts.place.append(picks);
      const checks = Array.from({ length: count }, (_, place) => parts.check(`${place + 1}`, place < 6 && models[model()].norms[place] > 0.01 * models[model()].norms[0], () => draw(), picks, place));
      picks.prepend(element("span", { textContent: "components" }));
      const decoded = models.map(() => null);
      const columns = () => {
        const own = model();
        if (!decoded[own]) {
          decoded[own] = models[own].columns.map((packed, mode) => {
            const flat = decode(packed, Float32Array);
            const dim = axes[mode].labels.length;
            return models[own].norms.map((_, place) => Array.from(flat.subarray(place * dim, (place + 1) * dim)));
          });
        }
        return decoded[own];
      };
      const shown = () => models[model()].norms.map((_, place) => place).filter((place) => checks[place]());
      const places = axes.map((each) => plot(figure, each.title));
      const maps = isMap ? Array.from({ length: count }, (_, place) => plot(figure, `map of component ${place + 1}`)) : [];
      const draw = () => {
        const done = [];
        const asMap = forms[form()] === "map";
        axes.forEach((each, place_) => {
          const hidden = asMap && (place_ === north || place_ === east);
          places[place_].outer.style.display = hidden ? "none" : "";
          if (hidden) return;
          const x = each.kind === "word" ? each.labels.map(category) : each.labels;
          const asBars = forms[form()] === "bars" || (forms[form()] !== "lines" && each.kind === "word");
          const traces = shown().map((place) => ({
            x, y: columns()[place_][place], name: `component ${place + 1}`, showlegend: false,
            hovertemplate: `${text(each.title)}: %{x}<br>component ${place + 1}: %{y:.4~g}<extra></extra>`,
            ...(asBars ? { type: "bar", marker: { color: colour(place) } }
              : { type: "scatter", mode: x.length > 40 ? "lines" : "lines+markers", line: { color: colour(place), dash: dash(place), width: 2 }, marker: { size: 5 } }),
          }));
          done.push(react(places[place_], traces, layout(mode(each, ""), axis("weight"), { margin: { l: 54, r: 10, t: 10, b: 34 } })));
        });
        maps.forEach((place, component) => {
          const visible = asMap && shown().includes(component);
          place.outer.style.display = visible ? "" : "none";
          if (!visible) return;
          const [rows_, across] = [columns()[north][component], columns()[east][component]];
          const z = rows_.map((a) => across.map((b) => a * b));
          const most = Math.max(...z.flat().map(Math.abs), 1e-30);
          const middle = (axes[north].labels[0] + axes[north].labels.at(-1)) / 2;
          done.push(react(place, [{
            type: "heatmap", z, x: axes[east].labels, y: axes[north].labels, zmin: -most, zmax: most, colorscale: "RdBu",
            colorbar: { thickness: 10, outlinewidth: 0, nticks: 5 },
            hovertemplate: "latitude %{y}<br>longitude %{x}<br>weight %{z:.4~g}<extra></extra>",
          }], layout(axis(axes[east].title, { constrain: "domain", showgrid: false, zeroline: false, nticks: 5 }), axis(axes[north].title, {
            nticks: 4,
            scaleanchor: "x", constrain: "domain", showgrid: false, zeroline: false, scaleratio: 1 / Math.max(0.1, Math.cos(middle * Math.PI / 180)),
          }), { margin: { l: 54, r: 10, t: 10, b: 42 } })));
        });
        return Promise.all(done);
      };
      const rows = () => [["mode", "label", ...shown().map((place) => `component ${place + 1}`)],
        ...axes.flatMap((each, mode) => each.labels.map((label, row) => [each.title, label, ...shown().map((place) => columns()[mode][place][row])]))];
      return { draw, rows };
    },
  };

  // Plotly lies packed in the page, for it is five megabytes.
  try {
    const packed = decode(document.getElementById("plotly").textContent, Uint8Array);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    document.head.append(element("script", { textContent: await new Response(stream).text() }));
    if (!window.Plotly) throw new Error("Plotly did not start");
  } catch (error) {
    const message = document.getElementById("message");
    message.textContent = `Figures cannot be drawn in this browser (${error.message}); tables can be read.`;
    message.hidden = false;
    throw error;
  }
  const begin = (figure) => {
    const { run, panel: place } = figure.dataset;
    const panel = data.runs[run].panels[place];
    const { draw, rows } = kinds[panel.kind](figure, panel);
    figure.querySelector(".csv").addEventListener("click", () => save(`${data.runs[run].name}-${panel.title}`, rows()));
    drawn.push(draw);
    Promise.resolve(draw()).then(() => { figure.dataset.drawn = "yes"; });
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) { seen.unobserve(target); begin(target); }
    }
  }, { rootMargin: "600px" });
  document.querySelectorAll("figure").forEach((figure) => seen.observe(figure));
  if (data.refresh) setTimeout(() => location.reload(), 1000 * data.refresh);
})();
