/** An endpoint's side of an HTTP/2 connection: responds to each whole call. */
import { type FrameListener, FrameReader } from "../../src/http/http2/frame-reader.ts";
import { FrameType } from "../../src/http/http2/frames.ts";
import { frame, headers, PREFACE, word } from "../http/http2/client-frames.ts";

const BLOCK_BYTES_MAX = 1 << 20;
const FRAME_BYTES_MAX = 16_384;
const STATUS = [[":status", "200"]] as const;

export class Http2Responder implements FrameListener {
  private readonly reader = new FrameReader(this, BLOCK_BYTES_MAX, FRAME_BYTES_MAX);
  /** The part of the preface that is still to come. */
  private prefaceBytes = PREFACE.length;
  private said: Buffer[] = [];

  /** `say` returns the number of bytes that were taken. */
  constructor(private readonly say: (bytes: Uint8Array) => number) {}

  push(bytes: Uint8Array): void {
    const from = Math.min(this.prefaceBytes, bytes.length);
    this.prefaceBytes -= from;
    this.reader.push(bytes, from, bytes.length - from);
    this.drain();
  }

  /** Sends the bytes that were not taken yet. */
  drain(): void {
    if (this.said.length === 0) return;
    const bytes = Buffer.concat(this.said);
    const taken = Math.max(this.say(bytes), 0);
    this.said = taken === bytes.length ? [] : [bytes.subarray(taken)];
  }

  dataEnd(stream: number, length: number, endsStream: boolean): void {
    if (length > 0) this.said.push(frame(FrameType.WINDOW_UPDATE, 0, 0, word(length)));
    if (endsStream) this.respond(stream);
  }
  headers(stream: number, _block: Buffer, _length: number, endsStream: boolean): void {
    if (endsStream) this.respond(stream);
  }
  private respond(stream: number): void {
    this.said.push(headers(stream, STATUS, { end: true }));
  }

  data(): void {}
  dataLost(): void {}
  promise(): void {}
  headersLost(): void {}
  reset(): void {}
  setting(): void {}
  settingsEnd(): void {}
  ping(): void {}
  goAway(): void {}
  windowUpdate(): void {}
  malformed(): void {}
}
