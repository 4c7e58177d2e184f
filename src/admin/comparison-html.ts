/** The findings of --compare on the status page: verdicts, both latencies, the worst routes with examples. */
import type { ComparisonReport } from "../observe/comparison-report.ts";
import { escaped } from "./escaped.ts";

/** The worst routes and latencies, as the status page shows them. */
export type Worst = ComparisonReport["worst"];
type Route = Worst["routes"][number];
type Difference = Route["differences"][number];
type Curves = Worst["curves"];
type Quantiles = Worst["latency"]["production"];

/** The size of the drawing of curves, which the page stretches to its width. */
const WIDTH = 600;
const HEIGHT = 60;
/** Lines differ by their dashes, not by colour. */
const DASHES = { production: "", endpoint: "6 3" } as const;
const SIDES = ["production", "endpoint"] as const;

/** The HTML of the comparison: a part of the status page. */
export function comparisonHtml(worst: Worst): string {
  const { compared, same, different, sampled_out, not_comparable, curves, latency, routes, further_routes } = worst;
  const reasons = Object.entries(not_comparable).filter(([, count]) => count > 0);
  const rows: [string, number][] = [
    ["Compared", compared],
    ["Same", same],
    ["Different", different],
    ...reasons.map(([reason, count]): [string, number] => [`Not comparable: ${reason}`, count]),
    ...(sampled_out > 0 ? [["Left out of the comparison (--compare-sample)", sampled_out] as [string, number]] : []),
  ];
  const counts = rows.map(([name, count]) => `<tr><th scope="row">${escaped(name)}</th><td>${number(count)}</td></tr>`);
  return (
    `<section id="comparison"><h2>Production's responses beside the endpoint's</h2>` +
    `<table><tbody>${counts.join("")}</tbody></table>` +
    `${curvesHtml(curves, latency)}${routesHtml(routes)}` +
    `${further_routes > 0 ? `<p>${number(further_routes)} more routes: see <a href="compare">/compare</a></p>` : ""}` +
    "</section>"
  );
}

function routesHtml(routes: readonly Route[]): string {
  if (routes.length === 0) return "<p>Nothing was compared yet.</p>";
  const names = ["Route", "Different", "Compared", "Production", "Endpoint"];
  const head = names.map((name) => `<th scope="col">${name}</th>`).join("");
  return (
    `<table class="routes"><caption>Routes, the worst first; times that half of the responses, and 99 %, took at most` +
    `</caption><thead><tr>${head}</tr></thead><tbody>${routes.map(routeHtml).join("")}</tbody></table>`
  );
}

function routeHtml(route: Route): string {
  const { method, path, different, compared, latency, differences, further_differences, curves } = route;
  const name = escaped(`${method} ${path}`);
  const cells = [number(different), number(compared), ...SIDES.map((side) => timesHtml(latency[side]))];
  const row = `<tr><th scope="row">${name}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  const told = differences.map(({ kind, where, count }) => `${placeOf(kind, where)} (${number(count)})`).join(", ");
  const more = further_differences > 0 ? `<p>${number(further_differences)} more: see /compare</p>` : "";
  return (
    `${row}<tr><td colspan="5"><details data-key="${name}"><summary>${escaped(told) || "nothing differs"}</summary>` +
    `${differences.map(differenceHtml).join("")}${more}${curvesHtml(curves, latency)}</details></td></tr>`
  );
}

function differenceHtml({ kind, where, count, control_count, is_shown, examples }: Difference): string {
  const noise = control_count > 0 ? `, ${number(control_count)} in the control` : "";
  const title = `${placeOf(kind, where)}: ${number(count)}${noise}${is_shown ? "" : " (noise)"}`;
  const [example] = examples;
  if (example === undefined) return `<h3>${escaped(title)}</h3>`;
  const { time, method, target, client, production, endpoint } = example;
  const [a, b] = marked(production, endpoint);
  const sides = [
    ["Production", a],
    ["Endpoint", b],
  ].map(([name, side]) => `<tr><th scope="row">${name}</th><td>${side}</td></tr>`);
  return (
    `<h3>${escaped(title)}</h3><table class="example"><caption>${escaped(`${method} ${target}`)}, from ` +
    `${escaped(client)}, ${escaped(time)}</caption><tbody>${sides.join("")}</tbody></table>`
  );
}

function placeOf(kind: string, where: string): string {
  return where === "" ? kind : `${kind} ${where}`;
}

/** Both sides of an example, with marks around the parts that differ. */
function marked(production: string, endpoint: string): [string, string] {
  const [a, b] = [[...production], [...endpoint]];
  const least = Math.min(a.length, b.length);
  let start = 0;
  while (start < least && a[start] === b[start]) start++;
  let end = 0;
  while (end < least - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  return [sideHtml(a, start, end), sideHtml(b, start, end)];
}

function sideHtml(characters: readonly string[], start: number, end: number): string {
  if (characters.length === 0) return "<i>nothing</i>";
  const text = (from: number, to: number) => escaped(characters.slice(from, to).join(""));
  const { length } = characters;
  const differs = text(start, length - end);
  return `<code>${text(0, start)}${differs && `<mark>${differs}</mark>`}${text(length - end, length)}</code>`;
}

/** The curves of both sides: the share of responses that came within a time. Times are logarithmic. */
function curvesHtml(curves: Curves, latency: Worst["latency"] | Route["latency"]): string {
  const all = [...curves.production, ...curves.endpoint];
  if (all.length === 0) return "";
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const scale = most > least ? WIDTH / Math.log(most / least) : 0;
  const lines = SIDES.map((side) => {
    const times = curves[side];
    const points = times.map(
      (timeMs, i) => `${(Math.log(timeMs / least) * scale).toFixed(1)},${HEIGHT - (HEIGHT * (i + 1)) / times.length}`,
    );
    return `<polyline stroke-dasharray="${DASHES[side]}" points="${points.join(" ")}"/>`;
  });
  const told = SIDES.map((side) => `${side} ${timesHtml(latency[side])}`).join(", ");
  return (
    `<figure><figcaption>${SIDES.map((side) => `${keyHtml(side)} ${side} ${timesHtml(latency[side])}`).join(" ")}` +
    `<br><small>Number of responses within a time, from ${ms(least)} to ${ms(most)} (logarithmic)</small>` +
    `</figcaption><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" ` +
    `aria-label="Latency: ${told}">${lines.join("")}</svg></figure>`
  );
}

function keyHtml(side: keyof typeof DASHES): string {
  const line = `<line x1="0" x2="26" y1="4" y2="4" stroke-dasharray="${DASHES[side]}"/>`;
  return `<svg class="key" viewBox="0 0 26 8" aria-hidden="true">${line}</svg>`;
}

/** The times of half of the responses, and of 99 in a hundred. */
function timesHtml({ p50_ms, p99_ms }: Quantiles): string {
  return p50_ms === null || p99_ms === null ? "–" : `${ms(p50_ms)} / ${ms(p99_ms)}`;
}

function ms(timeMs: number): string {
  return `${timeMs.toLocaleString("en", { maximumSignificantDigits: 3 })} ms`;
}

function number(count: number): string {
  return count.toLocaleString("en");
}
