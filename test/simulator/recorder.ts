/** A consumer of streams that keeps all events, and refuses events that a stream must never have. */
import { IDENTITY_VNI } from "../../src/decode/segment.ts";
import type { Incarnation } from "../../src/flow/incarnation.ts";
import type {
  ByteConsumer,
  ResponseConsumer,
  StreamConsumer,
  StreamEnd,
  StreamOpener,
  StreamOrigin,
} from "../../src/flow/stream.ts";

/** Bytes that come in pieces. */
export class GrowingBytes {
  private array = new Uint8Array(256);
  length = 0;

  push(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.array.length) {
      const grown = new Uint8Array(Math.max(this.array.length * 2, this.length + bytes.length));
      grown.set(this.array.subarray(0, this.length));
      this.array = grown;
    }
    this.array.set(bytes, this.length);
    this.length += bytes.length;
  }

  slice(from = 0, to = this.length): Uint8Array {
    return this.array.subarray(from, to);
  }
}

/** Bytes, or a hole: a stretch as long as possible. */
export interface RecordedRun {
  bytes: GrowingBytes | null;
  length: number;
}

/** Addresses and ports; there is one VNI. */
function addressesOf({ identity }: StreamOrigin): string {
  return identity.subarray(0, IDENTITY_VNI).join();
}

/** One direction. */
class RecordedBytes implements ByteConsumer {
  readonly runs: RecordedRun[] = [];
  /** Each call, by its length: of bytes; negative: of a hole. */
  readonly calls: number[] = [];
  /** All bytes, without the holes: the endpoint's right input in tcp mode. */
  readonly delivered = new GrowingBytes();
  how: StreamEnd | null = null;

  data(bytes: Uint8Array, offset: number, length: number, timestampMs: number): void {
    this.mustBeOpen();
    if (length <= 0 || offset < 0 || offset + length > bytes.length)
      throw new Error(`data(${offset}, ${length}) of ${bytes.length} bytes`);
    if (!(timestampMs > 0)) throw new Error(`data at the time ${timestampMs}`);
    const piece = bytes.subarray(offset, offset + length);
    this.delivered.push(piece);
    this.calls.push(length);
    this.run(false, length).bytes!.push(piece);
  }

  gap(length: number): void {
    this.mustBeOpen();
    if (!(length > 0)) throw new Error(`gap(${length})`);
    this.calls.push(-length);
    this.run(true, length);
  }

  end(how: StreamEnd): void {
    this.mustBeOpen();
    this.how = how;
  }

  get gapBytes(): number {
    return this.runs.reduce((sum, { bytes, length }) => sum + (bytes === null ? length : 0), 0);
  }

  protected mustBeOpen(): void {
    if (this.how !== null) throw new Error(`called after end("${this.how}")`);
  }

  private run(isGap: boolean, length: number): RecordedRun {
    let last = this.runs.at(-1);
    if (last === undefined || (last.bytes === null) !== isGap) {
      last = { bytes: isGap ? null : new GrowingBytes(), length: 0 };
      this.runs.push(last);
    }
    last.length += length;
    return last;
  }
}

export class RecordedResponse extends RecordedBytes implements ResponseConsumer {
  /** Null: it has not begun. */
  isFromStart: boolean | null = null;

  begin(isFromStart: boolean): void {
    this.mustBeOpen();
    if (this.isFromStart !== null) throw new Error("begun twice");
    this.isFromStart = isFromStart;
  }
}

export class RecordedStream extends RecordedBytes implements StreamConsumer {
  /** As it was when the stream opened. */
  readonly identity: string;
  readonly hasSyn: boolean;
  /** The first byte's sequence number. */
  readonly start: number;
  readonly response = new RecordedResponse();
  /** The number of questions after silences. */
  idled = 0;
  mayEndIdle = true;
  mayGoOn = true;

  constructor(readonly origin: StreamOrigin) {
    super();
    this.start = (origin as Incarnation).clientStart;
    this.identity = addressesOf(origin);
    this.hasSyn = origin.hasSyn;
  }

  idle(): boolean {
    this.mustBeOpen();
    this.idled++;
    return this.mayEndIdle;
  }

  override end(how: StreamEnd): void {
    if (addressesOf(this.origin) !== this.identity) throw new Error("the identity has changed");
    super.end(how);
  }
}

export class Recorder implements StreamOpener {
  /** In the order in which they were opened. */
  readonly streams: RecordedStream[] = [];

  open(origin: StreamOrigin): StreamConsumer {
    const stream = new RecordedStream(origin);
    this.streams.push(stream);
    return stream;
  }
}
