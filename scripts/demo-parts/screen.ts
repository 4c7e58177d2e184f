/** The demo's screen: 80 columns, and colours if a terminal shows them. */
const COLUMNS = 80;
const INDENT = "   ";

const isColourful = process.stdout.isTTY && !process.env["NO_COLOR"];
const style = (code: number) => (text: string) => (isColourful ? `\u001b[${code}m${text}\u001b[0m` : text);
export const bold = style(1);
export const dim = style(2);
export const green = style(32);
export const yellow = style(33);
export const red = style(31);

export function heading(text: string): void {
  console.log(`\n${bold(text)}`);
}

/** Prints text, wrapped to the screen's width; `paint` colours each line. */
export function paragraph(text: string, paint = (line: string) => line): void {
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && INDENT.length + line.length + 1 + word.length > COLUMNS) {
      console.log(INDENT + paint(line));
      line = "";
    }
    line += (line === "" ? "" : " ") + word;
  }
  console.log(INDENT + paint(line));
}

export const DONE = "✓";
export const HOLE = "–";
export const FAILED = "✗";

/** Paints a mark, or a text that begins with one. */
export function marked(text: string): string {
  const paint = text.startsWith(DONE) ? green : text.startsWith(HOLE) ? yellow : red;
  return paint(text[0]!) + text.slice(1);
}

/** A request and its outcome. */
export interface Row {
  client: string;
  /** Its request line. */
  line: string;
  /** The events on the way of its packets, if known. */
  onTheWay?: string;
  bytes: number;
  /** The endpoint's result. */
  arrived: string;
  mark: typeof DONE | typeof HOLE | typeof FAILED;
}

/** Prints requests; each client once, and the packets' column only if it has content. */
export function table(rows: Row[]): void {
  const hasPackets = rows.some(({ onTheWay }) => onTheWay !== undefined);
  const lineColumns = hasPackets ? 19 : 29;
  const print = (client: string, line: string, onTheWay: string, bytes: string, arrived: string, mark: string) => {
    const packets = hasPackets ? `${onTheWay.padEnd(9)} ` : "";
    console.log(
      `${INDENT}${client.padEnd(22)} ${line.padEnd(lineColumns)} ${packets}${bytes.padStart(10)} ${arrived.padStart(10)} ${mark}`.trimEnd(),
    );
  };
  print("client", "request", "packets", "bytes", "arrived", "");
  let last = "";
  for (const { client, line, onTheWay = "", bytes, arrived, mark } of rows) {
    print(client === last ? "" : client, line, onTheWay, bytes.toLocaleString("en-US"), arrived, marked(mark));
    last = client;
  }
}

/** The counters that the demo shows (--summary). */
export interface Counters {
  frames: { captured: number; segments: number; dropped: Record<string, number> };
  reassembly: { gaps: number; gap_bytes: number };
  requests: {
    seen: number;
    forwarded: number;
    answered: number;
    damaged: number;
    damage: Record<string, number>;
    dropped: Record<string, number>;
  };
  responses: { unanswered: number };
}

/** Prints the program's counters as sums. Returns whether they add up. */
export function account({ frames, reassembly, requests, responses }: Counters): boolean {
  const sums: [what: string, whole: number, parts: [number, string][]][] = [
    ["frames captured", frames.captured, [[frames.segments, "of ours"], partOf("dropped", frames.dropped)]],
    [
      "requests seen",
      requests.seen,
      [[requests.forwarded, "forwarded"], partOf("damaged", requests.damage), partOf("dropped", requests.dropped)],
    ],
    [
      "requests forwarded",
      requests.forwarded,
      [
        [requests.answered, "answered"],
        [responses.unanswered, "unanswered"],
      ],
    ],
  ];
  let isRight = true;
  for (const [what, whole, parts] of sums) {
    const adds = whole === parts.reduce((sum, [part]) => sum + part, 0);
    const text = parts.map(([part, name]) => `${part} ${name}`).join(" + ");
    paragraph(marked(`${adds ? DONE : FAILED} ${whole} ${what} = ${text}`));
    isRight &&= adds;
  }
  paragraph(`  ${reassembly.gaps} gaps: ${reassembly.gap_bytes} bytes that never arrived`);
  return isRight;
}

/** A part with reasons: those that occurred. */
function partOf(name: string, reasons: Record<string, number>): [number, string] {
  const counted = Object.entries(reasons).filter(([, count]) => count > 0);
  const told = counted.map(([reason, count]) => `${count} ${reason}`).join(", ");
  const sum = counted.reduce((all, [, count]) => all + count, 0);
  return [sum, told === "" ? name : `${name} (${told})`];
}

/** Prints the program's warnings, if there are any. */
export function warnings(stderr: string): void {
  for (const line of stderr.split("\n"))
    if (/^\S+ (WARN|ERROR) /.test(line)) paragraph(line.replace(/^\S+ /, ""), yellow);
}

/** Prints the result in one line. */
export function verdict(isRight: boolean, text: string): void {
  console.log(isRight ? `\n${green(`${DONE} ${text}`)}` : `\n${red(`${FAILED} ${text}`)}`);
}
