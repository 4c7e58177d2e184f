/** The demo's screen: 80 columns, and colours where a terminal shows them. */
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

/** What was sent on one connection and what became of it. */
export interface Row {
  client: string;
  requests: string[];
  /** What happened to its packets, where that is known. */
  onTheWay?: string;
  sentBytes: number;
  arrivedBytes: number;
  mark: typeof DONE | typeof HOLE | typeof FAILED;
}

/** Prints the connections; the packets' column only where there is something in it. */
export function table(rows: Row[]): void {
  const hasPackets = rows.some(({ onTheWay }) => onTheWay !== undefined);
  const requestsColumns = hasPackets ? 20 : 30;
  const print = (client: string, requests: string, onTheWay: string, sent: string, arrived: string, mark: string) => {
    const packets = hasPackets ? `${onTheWay.padEnd(9)} ` : "";
    console.log(
      `${INDENT}${client.padEnd(22)} ${requests.padEnd(requestsColumns)} ${packets}${sent.padStart(10)} ${arrived.padStart(10)} ${mark}`.trimEnd(),
    );
  };
  print("client", "requests", "packets", "sent", "arrived", "");
  for (const { client, requests, onTheWay = "", sentBytes, arrivedBytes, mark } of rows) {
    print(
      client,
      shortened(requests, requestsColumns),
      onTheWay,
      sentBytes.toLocaleString("en-US"),
      arrivedBytes.toLocaleString("en-US"),
      marked(mark),
    );
  }
}

function shortened([first = "", ...others]: string[], columns: number): string {
  const more = others.length === 0 ? "" : `, ${others.length} more`;
  const room = columns - more.length;
  return (first.length > room ? `${first.slice(0, room - 1)}…` : first) + more;
}

/** Prints the program's warnings, if any, and its totals, without time and level. */
export function totals(stderr: string): void {
  const lines = stderr
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^\S+ INFO +/, ""));
  const begin = lines.findIndex((line) => line.startsWith("Totals:"));
  for (const line of lines.slice(0, begin))
    if (/^\S+ (WARN|ERROR) /.test(line)) paragraph(line.replace(/^\S+ /, ""), yellow);
  for (const line of lines.slice(begin)) paragraph(line);
}

/** Prints how it ended, in one line. */
export function verdict(isRight: boolean, text: string): void {
  console.log(isRight ? `\n${green(`${DONE} ${text}`)}` : `\n${red(`${FAILED} ${text}`)}`);
}
