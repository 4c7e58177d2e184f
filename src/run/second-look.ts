/**
 * A cheap second look at the mirror frames that the kernel's filter rejects: all are counted, and now and then a sample
 * of those that find room in a small buffer is decoded. Otherwise a wrong VNI would look like no traffic at all.
 */
import { LiveCapture } from "../capture/live.ts";
import { rejectedFilter } from "../filter/mirror-filter.ts";
import type { Config } from "../config.ts";
import { Decoder } from "../decode/decoder.ts";
import { Strangers } from "../decode/strangers.ts";
import { RefusalError } from "../errors.ts";
import { Counters } from "../observe/counters.ts";

/** The size of the buffer. When it is full, the kernel only counts until the next look. */
const BUFFER_MIB = 2;
const BATCH_BYTES = 1 << 20;
/** The bytes that are kept of a frame: enough for all headers. */
const SNAPSHOT_BYTES = 256;

/** Samples the mirror frames that the kernel's filter rejects. */
export class SecondLook {
  private readonly capture: LiveCapture;
  private readonly decoder: Decoder;
  private readonly sampled = new Counters();
  private rejectedFrames = 0;
  private isOver = false;

  /** Throws RefusalError. */
  constructor(
    config: Config,
    private readonly counters: Counters,
  ) {
    const { encapsulation, vxlanPort, vnis, ports, compare: takesServer } = config;
    const mirror = { encapsulation, vxlanPort, vnis, ports, takesServer };
    this.capture = LiveCapture.open({
      interfaceName: config.interfaceName!,
      captureBufferMib: BUFFER_MIB,
      libpcapPath: config.libpcap,
      batchBytes: BATCH_BYTES,
      snapshotBytes: SNAPSHOT_BYTES,
    });
    this.capture.sinceMs = 0;
    this.decoder = new Decoder(mirror, this.sampled);
    this.capture.accept(rejectedFilter({ ...mirror, linkType: this.capture.linkType }));
  }

  /**
   * The VNIs and ports of frames that were sampled before the last look: by now the shards have reported their counters
   * of that time. Otherwise the first frames of a mirror would seem to be only for others.
   */
  strangers: Strangers = new Strangers();

  /** Looks, and adds all that was seen so far to the counters. */
  take(): void {
    const { capture, decoder, sampled } = this;
    const { refused } = this.counters;
    this.strangers = decoder.strangers.copy();
    if (!this.isOver) this.rejectedFrames += capture.newlyAccepted();
    this.fetch();
    while (capture.next())
      decoder.decode(
        capture.bytes,
        capture.view,
        capture.offset,
        capture.length,
        capture.linkType,
        capture.timestampMs,
      );
    refused.frames = this.rejectedFrames;
    refused.sampled = sampled.frames.captured;
    sampled.frames.dropped.forEach((count, reason) => (refused.dropped[reason] = count));
  }

  /** If the interface is gone, the shards tell that: here, only the looks end. */
  private fetch(): void {
    if (this.isOver) return;
    try {
      this.capture.poll();
    } catch (error) {
      if (!(error instanceof RefusalError)) throw error;
      this.isOver = true;
    }
  }
}
