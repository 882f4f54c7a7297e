"use strict";

// Every figure is drawn from the table beside it, so that both say the same.

const drawn = new Map();

function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function rows(figure) {
  return [...figure.querySelectorAll("tbody tr")].map((row) => ({
    label: row.dataset.label,
    value: Number(row.dataset.value),
    on: row.dataset.on === "1",
    values: (row.dataset.values || "").split(",").filter(Boolean).map(Number),
  }));
}

function tooltip(formatter) {
  return {
    trigger: "axis",
    renderMode: "richText",
    confine: true,
    backgroundColor: colour("card"),
    borderColor: colour("line"),
    textStyle: { color: colour("ink"), fontSize: 13 },
    axisPointer: { type: "shadow", shadowStyle: { color: colour("faint"), opacity: 0.6 } },
    formatter,
  };
}

function frame() {
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 0, right: 0, top: 8, bottom: 2, containLabel: false },
  };
}

function quietAxis(extra) {
  const line = { color: colour("line") };
  return { axisLine: { lineStyle: line }, axisTick: { show: false }, splitLine: { lineStyle: line }, axisLabel: { color: colour("soft") }, ...extra };
}

// Bars of an interval: of each point the place on the x axis, and its two ends.
function whiskers(points) {
  return {
    type: "custom",
    data: points,
    silent: true,
    z: 1,
    renderItem(_, api) {
      const [x, low] = api.coord([api.value(0), api.value(1)]);
      const [, high] = api.coord([api.value(0), api.value(2)]);
      const style = { stroke: colour("soft"), lineWidth: 1.5, fill: null };
      const lines = [[x, low, x, high], [x - 4, low, x + 4, low], [x - 4, high, x + 4, high]];
      return { type: "group", children: lines.map(([x1, y1, x2, y2]) => ({ type: "line", shape: { x1, y1, x2, y2 }, style })) };
    },
  };
}

// As the server writes numbers: with the minus sign, not a hyphen.
function written(value, style) {
  return new Intl.NumberFormat(document.documentElement.lang, style).format(value).replace("-", "\u2212");
}

const KINDS = {
  // Where bars are narrower than numbers, these would lie across the bars beside them: the table has them.
  histogram(figure) {
    const bars = rows(figure);
    return {
      ...frame(),
      tooltip: tooltip(([at]) => `${at.name}: ${written(at.value)}`),
      xAxis: quietAxis({ type: "category", data: bars.map((bar) => bar.label), axisLabel: { show: false } }),
      grid: { left: 0, right: 0, top: 22, bottom: 2, containLabel: false },
      yAxis: { type: "value", show: false },
      series: [{
        type: "bar",
        label: { position: "top", color: colour("soft"), opacity: 1, fontSize: 11, formatter: ({ value }) => (value ? written(value) : "") },
        labelLayout: ({ labelRect }) => ({ hideOverlap: true, dx: Math.max(0, -labelRect.x) }),
        barCategoryGap: "12%",
        data: bars.map((bar) => ({
          value: bar.value,
          itemStyle: { color: colour(bar.on ? "accent" : "total"), opacity: bar.on ? 1 : 0.35, borderRadius: [3, 3, 0, 0] },
        })),
      }],
      media: [
        { query: { minWidth: 480 }, option: { series: [{ label: { show: true } }] } },
        { option: { series: [{ label: { show: false } }] } },
      ],
    };
  },

  frontier(figure) {
    const points = [...figure.querySelectorAll("tbody tr")].map((row) => ({ ...row.dataset }));
    const line = points.map((at) => [Number(at.spend), Number(at.value)]);
    const band = [...points.map((at) => [Number(at.spend), Number(at.high)]), ...points.map((at) => [Number(at.spend), Number(at.low)]).reverse()];
    const chosen = points.find((at) => at.on === "1");
    const amount = (value) => written(value, { maximumFractionDigits: 1, notation: "compact" });
    const named = (at) => ({ name: at.label, value: [Number(at.spend), Number(at.value)] });
    return {
      ...frame(),
      grid: { left: 8, right: 18, top: 32, bottom: 26, containLabel: true },
      tooltip: { ...tooltip((at) => at.name), trigger: "item" },
      xAxis: quietAxis({ type: "value", min: 0, name: figure.dataset.x, nameLocation: "middle", nameGap: 28, nameTextStyle: { color: colour("soft") }, splitLine: { show: false }, axisLabel: { color: colour("soft"), formatter: amount, hideOverlap: true } }),
      yAxis: quietAxis({ type: "value", name: figure.dataset.y, nameGap: 14, nameTextStyle: { color: colour("soft"), align: "left" }, axisLine: { show: false }, splitNumber: 4, axisLabel: { color: colour("soft"), formatter: amount } }),
      series: [
        { type: "custom", silent: true, z: 1, data: [0], renderItem: (_, api) => ({ type: "polygon", shape: { points: band.map((at) => api.coord(at)) }, style: { fill: colour("accent"), opacity: 0.12 } }), encode: { x: -1, y: -1 } },
        { type: "line", z: 2, data: points.filter((at) => at.on !== "1").map(named), symbolSize: 7, lineStyle: { width: 2, color: colour("accent") }, itemStyle: { color: colour("accent") } },
        { type: "scatter", z: 3, symbol: "diamond", symbolSize: 17, data: chosen ? [named(chosen)] : [], itemStyle: { color: colour("raise"), borderColor: colour("card"), borderWidth: 2 } },
        { type: "scatter", silent: true, symbolSize: 0, data: [...line, ...band] },
      ],
    };
  },

  days(figure) {
    const days = rows(figure);
    return {
      ...frame(),
      grid: { left: 4, right: 12, top: 12, bottom: 4, containLabel: true },
      tooltip: { ...tooltip(([at]) => `${at.name}: ${written(at.value)}`), axisPointer: { type: "line", lineStyle: { color: colour("soft") } } },
      xAxis: quietAxis({ type: "category", boundaryGap: false, data: days.map((day) => day.label), axisLabel: { color: colour("soft"), interval: 13, showMinLabel: true } }),
      yAxis: quietAxis({ type: "value", axisLine: { show: false }, splitNumber: 3 }),
      series: [{ type: "line", showSymbol: false, smooth: 0.2, lineStyle: { width: 2, color: colour("accent") }, areaStyle: { color: colour("accent"), opacity: 0.1 }, itemStyle: { color: colour("accent") }, data: days.map((day) => day.value) }],
    };
  },

  curves(figure) {
    const cohorts = rows(figure).filter((cohort) => cohort.values.length > 1);
    const longest = Math.max(0, ...cohorts.map((cohort) => cohort.values.length));
    const soft = colour("soft");
    const apart = Math.ceil(cohorts.length / 6);
    return {
      ...frame(),
      grid: { left: 4, right: 76, top: 12, bottom: 22, containLabel: true },
      tooltip: { ...tooltip((all) => all.map((at) => `${at.seriesName}: ${Math.round(at.value)}%`).join("\n")), axisPointer: { type: "line", lineStyle: { color: soft } } },
      xAxis: quietAxis({ type: "category", boundaryGap: false, data: Array.from({ length: longest }, (_, at) => String(at + 1)), name: figure.dataset.x, nameLocation: "middle", nameGap: 26, nameTextStyle: { color: soft } }),
      yAxis: quietAxis({ type: "value", min: 0, max: 100, interval: 25, axisLine: { show: false }, axisLabel: { color: soft, formatter: "{value}%" } }),
      series: cohorts.map((cohort, at) => ({
        name: cohort.label,
        type: "line",
        showSymbol: false,
        lineStyle: { width: at === cohorts.length - 1 ? 2.5 : 1.5, color: colour("accent"), opacity: 0.25 + 0.75 * (at + 1) / cohorts.length },
        itemStyle: { color: colour("accent") },
        endLabel: { show: (cohorts.length - 1 - at) % apart === 0, formatter: "{a}", color: colour("ink"), fontSize: 12, textBorderColor: colour("card"), textBorderWidth: 3 },
        labelLayout: { hideOverlap: true },
        data: cohort.values,
      })),
    };
  },

  calibration(figure) {
    const points = rows(figure).map((row) => ({ on: row.on, said: row.values[0], seen: row.values[1], low: row.values[2], high: row.values[3] }));
    const { x, y } = figure.querySelector(".drawing").dataset;
    const most = Math.min(100, 20 * Math.ceil(Math.max(20, ...points.map((point) => Math.max(point.said, point.high))) / 20));
    const soft = colour("soft");
    const axis = (name, more) => quietAxis({ type: "value", min: 0, max: most, name, nameTextStyle: { color: soft }, axisLabel: { color: soft, formatter: "{value}%" }, splitNumber: 4, ...more });
    return {
      ...frame(),
      grid: { left: 4, right: 16, top: 30, bottom: 22, containLabel: true },
      xAxis: axis(x, { nameLocation: "middle", nameGap: 28 }),
      yAxis: axis(y, { nameTextStyle: { color: soft, align: "left" } }),
      series: [
        { type: "line", silent: true, showSymbol: false, lineStyle: { type: "dashed", width: 1.5, color: soft }, data: [[0, 0], [most, most]] },
        whiskers(points.map((point) => [point.said, point.low, point.high])),
        {
          type: "scatter",
          silent: true,
          symbolSize: 10,
          z: 3,
          data: points.map((point) => ({ value: [point.said, point.seen], symbol: point.on ? "circle" : "diamond", itemStyle: { color: colour(point.on ? "accent" : "raise") } })),
        },
      ],
    };
  },

  tests(figure) {
    const tests = rows(figure);
    const surface = figure.querySelector(".drawing").dataset;
    const soft = colour("soft");
    return {
      ...frame(),
      grid: { left: 4, right: 16, top: 34, bottom: 4, containLabel: true },
      legend: { top: 0, left: 0, itemWidth: 22, itemHeight: 9, textStyle: { color: soft }, data: [surface.model, surface.rule] },
      tooltip: { ...tooltip(([at]) => `${at.name}: ${Math.round(tests[at.dataIndex].values[0])} (${Math.round(tests[at.dataIndex].values[1])} – ${Math.round(tests[at.dataIndex].values[2])})`), axisPointer: { type: "line", lineStyle: { color: soft } } },
      xAxis: quietAxis({ type: "category", data: tests.map((test) => test.label), axisLabel: { color: soft, hideOverlap: true, formatter: (label) => label.split(" · ").join("\n") } }),
      yAxis: quietAxis({ type: "value", min: 50, max: 100, interval: 10, axisLine: { show: false } }),
      series: [
        { name: surface.model, type: "line", symbol: "circle", symbolSize: 9, z: 3, lineStyle: { width: 2, color: colour("accent") }, itemStyle: { color: colour("accent") }, data: tests.map((test) => test.values[0]) },
        { name: surface.rule, type: "line", symbol: "diamond", symbolSize: 8, lineStyle: { width: 1.5, type: "dashed", color: colour("total") }, itemStyle: { color: colour("total") }, data: tests.map((test) => test.values[3]) },
        whiskers(tests.map((test, at) => [at, test.values[1], test.values[2]])),
      ],
    };
  },
};

function draw(figure) {
  const surface = figure.querySelector(".drawing");
  const kind = KINDS[figure.dataset.chart];
  if (!surface || !kind || !window.echarts) return;
  const chart = echarts.init(surface, null, { renderer: "canvas" });
  chart.setOption(kind(figure));
  drawn.set(surface, chart);
}

function drawAll() {
  for (const [surface, chart] of drawn) {
    if (!surface.isConnected || surface.dataset.stale) {
      chart.dispose();
      drawn.delete(surface);
    }
  }
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    if (!drawn.has(figure.querySelector(".drawing"))) draw(figure);
  }
}

function drawAnew() {
  for (const surface of drawn.keys()) surface.dataset.stale = "1";
  drawAll();
  for (const surface of drawn.keys()) delete surface.dataset.stale;
}

drawAll();
document.addEventListener("htmx:afterSettle", drawAll);
document.addEventListener("htmx:oobAfterSwap", drawAll);
window.addEventListener("resize", () => drawn.forEach((chart) => chart.resize()));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
window.matchMedia("print").addEventListener("change", drawAnew);
window.addEventListener("beforeprint", () => drawn.forEach((chart) => chart.resize()));
