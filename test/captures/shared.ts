/** The captures of third parties in ../shared, beside the repository, if the folder exists. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "../executable/program.ts";

const SHARED = join(REPOSITORY, "../shared");
const CAPTURES = join(SHARED, "captures");
const WRAP_TOOL = join(SHARED, "tools/wrap_vxlan.py");

/** The streams of one capture that one run of the program forwards. */
export interface ExpectedStreams {
  readonly name: string;
  /** The savefile. */
  readonly path: string;
  /** Undefined: the capture is not VXLAN, and must be wrapped first. */
  readonly vni: number | undefined;
  readonly port: number;
  /** SHA-256 of each stream, sorted. */
  readonly digests: string[];
  /** The same by client. */
  readonly byClient: Map<string, string[]>;
}

/** VNI of captures that were wrapped. */
export const WRAPPED_VNI = 5_569_041;

/** The expected streams of the captures in ../shared. If the folder is missing, logs which test is left out. */
export function expectedStreams(what: string): ExpectedStreams[] {
  const table = join(CAPTURES, "EXPECTED.tsv");
  if (!existsSync(table) || !existsSync(WRAP_TOOL)) {
    console.warn(`skipped: ${what} (there is no ../shared/captures beside this repository)`);
    return [];
  }
  const groups = new Map<string, ExpectedStreams>();
  for (const line of readFileSync(table, "utf8").trimEnd().split("\n").slice(1)) {
    const [capture, , vni, client, server, , digest] = line.split("\t") as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const port = Number(server.slice(server.lastIndexOf(":") + 1));
    const name = `${capture}${vni === "" ? "" : ` VNI ${vni}`} port ${port}`;
    const group = groups.get(name) ?? {
      name,
      path: join(CAPTURES, capture),
      vni: vni === "" ? undefined : Number(vni),
      port,
      digests: [],
      byClient: new Map<string, string[]>(),
    };
    groups.set(name, group);
    group.digests.push(digest);
    group.byClient.set(client, [...(group.byClient.get(client) ?? []), digest]);
  }
  for (const { digests } of groups.values()) digests.sort();
  return [...groups.values()];
}

/** A plain capture to be wrapped: from, to, and the tool's options. */
export type Wrap = [input: string, output: string, ...options: string[]];

const RUN_TOOL = `
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("wrap_vxlan", sys.argv[1])
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
for arguments in json.load(sys.stdin):
    sys.argv = ["wrap_vxlan.py", *arguments]
    tool.main()
`;

/** Wraps captures as AWS does, all in one run of Python. */
export function wrap(wraps: Wrap[]): void {
  const tool = Bun.spawnSync(["python3", "-c", RUN_TOOL, WRAP_TOOL], {
    stdin: Buffer.from(JSON.stringify(wraps)),
    stderr: "pipe",
  });
  if (!tool.success) throw new Error(`wrap_vxlan.py failed:\n${tool.stderr}`);
}
