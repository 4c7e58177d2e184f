/** scripts/spread: how evenly a hash of the outer five-tuple spreads a mirror over replay servers. */

/** Outer source ports: 65408 to 65525, as in a capture of AWS. */
const FIRST_PORT = 65_408;
const PORTS = 118;
/** Each draw has other sources, and another hash. */
const DRAWS = 40;
const TARGETS = [2, 3, 4, 8];
const SOURCES = [1, 4, 16, 64];

/** The busiest target's load relative to the mean, if each port of each source carries the same load. */
function busiest(targets: number, sources: number, draw: number): number {
  const ports = new Uint32Array(targets);
  for (let source = 0; source < sources; source++) {
    for (let port = FIRST_PORT; port < FIRST_PORT + PORTS; port++) {
      const hash = Number(BigInt(Bun.hash(`${source} ${port}`, BigInt(draw))) & 0xffff_ffffn);
      ports[hash % targets]!++;
    }
  }
  return Math.max(...ports) / ((sources * PORTS) / targets);
}

function cell(targets: number, sources: number): string {
  const draws = Array.from({ length: DRAWS }, (_, draw) => busiest(targets, sources, draw)).toSorted((a, b) => a - b);
  return `${draws[DRAWS / 2]!.toFixed(2)} (${draws.at(-1)!.toFixed(2)})`;
}

/** The table, in Markdown: the median of the draws, and the worst. */
export function spreadTable(): string {
  const rows = SOURCES.map((sources) => [sources, ...TARGETS.map((targets) => cell(targets, sources))]);
  return [
    ["mirrored interfaces", ...TARGETS.map((targets) => `${targets} servers`)],
    ["mirrored interfaces", ...TARGETS].map(() => "---"),
    ...rows,
  ]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

if (import.meta.main) console.log(spreadTable());
