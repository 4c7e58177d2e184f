/** The results of the parts of scripts/servers, and their output. */
import type { TemporaryDirectory } from "../../test/executable/program.ts";

export interface Row {
  part: string;
  server: string;
  /** Requests that a plain client's server served; undefined: there was no plain client. */
  plainly?: number | undefined;
  /** Requests of the mirror that it served. */
  mirrored?: number;
  /** A remark about a right result: the number of allowed losses, the duration. */
  note?: string;
  faults: string[];
}

export type Part = (directory: TemporaryDirectory) => Promise<Row[]>;

const FAULTS_SHOWN_MAX = Number(process.env["FAULTS"] ?? 40);

export function skipped(part: string, server: string, why: string): Row {
  return { part, server, note: `skipped: ${why}`, faults: [] };
}

function line(part: string, server: string, plainly: string, mirrored: string, rest: string): void {
  console.log(
    `${part.padEnd(16)} ${server.padEnd(24)} ${plainly.padStart(8)} ${mirrored.padStart(8)}  ${rest}`.trimEnd(),
  );
}

/** The meaning of the columns: requests that the server served to a plain client, and those of the mirror. */
export function heading(): void {
  line("part", "server", "plainly", "mirrored", "");
}

export function print(rows: Row[]): void {
  for (const { part, server, plainly, mirrored, note = "", faults } of rows) {
    const verdict = faults.length > 0 ? "✗" : note.startsWith("skipped") ? "–" : "✓";
    line(part, server, String(plainly ?? ""), String(mirrored ?? ""), `${verdict} ${note}`);
    for (const fault of faults.slice(0, FAULTS_SHOWN_MAX)) console.log(`    ${fault}`);
    if (faults.length > FAULTS_SHOWN_MAX) console.log(`    … and ${faults.length - FAULTS_SHOWN_MAX} more`);
  }
}
