/** Checks the files that a run reads and writes: no output may overwrite an input or another output. */
import { fstatSync, type Stats, statSync } from "node:fs";
import { resolve } from "node:path";
import { addressName, destinationsOf } from "../address.ts";
import { ringPaths } from "../capture/recorder.ts";
import type { Config } from "../config.ts";
import { UsageError } from "../errors.ts";

type FilesConfig = Pick<
  Config,
  | "address"
  | "also"
  | "read"
  | "summary"
  | "differences"
  | "record"
  | "recordFiles"
  | "tlsCa"
  | "tlsCert"
  | "tlsKey"
  | "libpcap"
>;

const STANDARD_INPUT = 0;

/** Throws UsageError if a file to be written has another purpose as well. Call it before any file is opened. */
export function refuseSharedFiles(config: FilesConfig): void {
  const { read, summary, differences, record, recordFiles, tlsCa, tlsCert, tlsKey, libpcap } = config;
  const purposes = new Map<string, string>();
  for (const path of read ?? []) purposes.set(identityOf(path), "--read");
  for (const [flag, path] of Object.entries({ "tls-ca": tlsCa, "tls-cert": tlsCert, "tls-key": tlsKey, libpcap }))
    if (path !== undefined) purposes.set(identityOf(path), `--${flag}`);
  const claim = (flag: string, path: string | undefined): void => {
    if (path === undefined) return;
    const identity = identityOf(path);
    const other = purposes.get(identity);
    if (other !== undefined) throw new UsageError(`Cannot use ${flag} for ${path}: it is the file of ${other}`);
    purposes.set(identity, flag);
  };
  claim("--summary", summary);
  claim("--differences", differences);
  for (const each of destinationsOf(config)) claim(addressName(each), each.file);
  // Threads that share an interface have rings of their own, and read no savefile.
  if (record === undefined || read === undefined) return;
  for (const path of ringPaths({ path: record, files: recordFiles, thread: undefined })) claim("--record", path);
}

/** The identity of a file: the same for all of its names. */
function identityOf(path: string): string {
  const stat = statOf(path);
  return stat === undefined ? resolve(path) : `${stat.dev}:${stat.ino}`;
}

/** The file's metadata; undefined: it does not exist, or may not be looked at. */
function statOf(path: string): Stats | undefined {
  try {
    return path === "-" ? fstatSync(STANDARD_INPUT) : statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
