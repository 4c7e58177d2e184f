/** The text of --licenses: the notices of all parts of the executable. */
import { readFileSync } from "node:fs";
import cittyParts from "../../node_modules/citty/dist/THIRD-PARTY-LICENSES.md" with { type: "file" };
import citty from "../../node_modules/citty/LICENSE" with { type: "file" };
import consola from "../../node_modules/consola/LICENSE" with { type: "file" };
import libpcap from "../capture/libpcap/LICENSE" with { type: "file" };
import bun from "./licenses/bun.txt" with { type: "file" };

/** A part of the executable, and the files with its notices, which are read only for --licenses. */
interface Part {
  readonly name: string;
  readonly version: string;
  readonly notices: readonly string[];
}

/** A test compares the versions with bun.lock, libpcap's VERSION and the pinned Bun. */
export const parts: readonly Part[] = [
  { name: "libpcap", version: "1.10.3-1", notices: [libpcap] },
  { name: "citty", version: "0.2.2", notices: [citty, cittyParts] },
  { name: "consola", version: "3.4.2", notices: [consola] },
  { name: "Bun", version: "1.4.2", notices: [bun] },
];

/** The whole text, without a newline at its end. */
export function licenses(): string {
  return [
    "vxlan-to-http itself comes without a licence. It contains, under the licences that follow:",
    ...parts.map(({ name, version }) => `  ${name} ${version}`),
    ...parts.flatMap(({ name, version, notices }) => [
      `\n──── ${name} ${version} ────\n`,
      ...notices.map((path) => readFileSync(path, "utf8").trimEnd()),
    ]),
  ].join("\n");
}
