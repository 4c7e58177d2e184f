/** The way of the frames: onto the loopback interface at a rate, or into the program's standard input as it reads. */
import type { Running } from "../executable/program.ts";
import { pcap } from "../support/frames.ts";
import { Injector } from "./injector.ts";

const LOOK_FRAMES = 16;
/** The interval at which the frames leave, many at a time. */
const SLICE_MS = 2;
const LATE_MS_MAX = 20;
/** A program that reads nothing for this long is reported elsewhere. */
const STUCK_MS = 30_000;
const RECORD_HEADER_LEN = 16;
const CHUNK_BYTES = 256 << 10;
const START_MS = 1_760_000_000_000;

/** The way of the frames. */
export interface Mirror {
  /** Sends frames, until the time is over or the program ends. Returns their number. */
  send(frames: Iterable<Uint8Array>, perSecond: number, isOver: () => boolean): Promise<number>;
}

/** Onto lo, at a rate. */
export class LoopbackMirror implements Mirror {
  private readonly injector = new Injector();

  async send(frames: Iterable<Uint8Array>, perSecond: number, isOver: () => boolean): Promise<number> {
    let beginMs = performance.now();
    let sent = 0;
    const aheadMs = () => (sent / perSecond) * 1000 - (performance.now() - beginMs);
    for (const frame of frames) {
      this.injector.add(frame);
      if (++sent % LOOK_FRAMES !== 0) continue;
      // On a busy machine: a burst later would be another load.
      if (aheadMs() < -LATE_MS_MAX) beginMs -= aheadMs();
      if (aheadMs() < SLICE_MS) continue;
      this.injector.flush();
      while (aheadMs() > 0) await Bun.sleep(1);
      if (isOver()) break;
    }
    this.injector.flush();
    return sent;
  }
}

/** Into the program's standard input, as fast as it reads; the records' times are as far apart as the rate says. */
export class SavefileMirror implements Mirror {
  private readonly chunk = new Uint8Array(CHUNK_BYTES);
  private readonly view = new DataView(this.chunk.buffer);
  private timeMs = START_MS;
  private length: number;

  constructor(private readonly running: Running) {
    const header = pcap([]);
    this.chunk.set(header);
    this.length = header.length;
  }

  async send(frames: Iterable<Uint8Array>, perSecond: number, isOver: () => boolean): Promise<number> {
    let sent = 0;
    for (const frame of frames) {
      if (this.length + RECORD_HEADER_LEN + frame.length > CHUNK_BYTES) await this.flush();
      if (isOver()) return sent;
      this.add(frame);
      this.timeMs += 1000 / perSecond;
      sent++;
    }
    await this.flush();
    return sent;
  }

  private add(frame: Uint8Array): void {
    this.view.setUint32(this.length, Math.floor(this.timeMs / 1000), true);
    this.view.setUint32(this.length + 4, Math.floor((this.timeMs % 1000) * 1000), true);
    this.view.setUint32(this.length + 8, frame.length, true);
    this.view.setUint32(this.length + 12, frame.length, true);
    this.chunk.set(frame, this.length + RECORD_HEADER_LEN);
    this.length += RECORD_HEADER_LEN + frame.length;
  }

  /** The program may end, or stop reading, at any time: this is reported elsewhere. */
  private async flush(): Promise<void> {
    const { chunk, length } = this;
    this.length = 0;
    await Promise.race([this.running.write(chunk.subarray(0, length)).catch(() => {}), Bun.sleep(STUCK_MS)]);
  }
}
