/** The files that are destinations of a run, or of one of its threads: opened once, and written until its end. */
import { destinationsOf, type ForwardAddress, hasFile } from "../address.ts";
import type { Config } from "../config.ts";
import type { FileCounters } from "../files/counters.ts";
import { FileConnector } from "../files/file-connector.ts";
import { type FileReport, RequestFile } from "../files/request-file.ts";
import { Slices } from "../files/slices.ts";
import { Redactor } from "../redact/redactor.ts";

/** The open files of a thread. */
export class Files {
  private readonly files: RequestFile[] = [];
  private readonly connectors = new Map<string, FileConnector>();
  private readonly slices = new Slices();

  private constructor(config: Config, counters: FileCounters, report: FileReport, thread: number | undefined) {
    const redactor = new Redactor(config.redact, config.noRedact);
    for (const { file: path } of destinationsOf(config)) {
      if (path === undefined) continue;
      const fileBytesMax = config.fileMaxMib * 2 ** 20;
      const file = new RequestFile({ path, fileBytesMax, thread }, counters, report);
      this.files.push(file);
      this.connectors.set(path, new FileConnector({ file, limits: config, redactor, counters, slices: this.slices }));
    }
  }

  /**
   * Makes the files anew; undefined: no destination is a file. `thread`: the thread's number, if there are several.
   * Throws RefusalError.
   */
  static open(config: Config, counters: FileCounters, report: FileReport, thread?: number): Files | undefined {
    return hasFile(destinationsOf(config)) && !config.dryRun ? new Files(config, counters, report, thread) : undefined;
  }

  /** The connector of a file; undefined: the address is no file's. */
  connector({ file }: ForwardAddress): FileConnector | undefined {
    return file === undefined ? undefined : this.connectors.get(file);
  }

  /** No more requests come: completes the files. */
  async end(): Promise<void> {
    this.slices.finish();
    for (const file of this.files) await file.end();
  }
}
