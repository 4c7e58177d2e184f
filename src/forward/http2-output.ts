/** Our frames on one HTTP/2 connection. They are collected here, and leave in one write. */
import {
  Flag,
  FRAME_HEADER_LEN,
  FrameType,
  PING_LEN,
  RST_STREAM_LEN,
  SETTING_LEN,
  WINDOW_UPDATE_LEN,
  writeFrameHeader,
  writeWord,
} from "../http/http2/frames.ts";
import type { HpackEncoder } from "../http/http2/hpack-encoder.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { HeldMemory } from "./held-memory.ts";
import type { Request } from "./request.ts";
import { NO_TIMESTAMP, type Upstream } from "./upstream.ts";

/** Short frames are put together here, and copied from here. */
const scratch = new Uint8Array(FRAME_HEADER_LEN + Math.max(PING_LEN, 2 * SETTING_LEN));

/** The frames of one connection. */
export class Http2Output {
  /** The number of all bytes so far. */
  position = 0;
  private readonly queue: ByteQueue;
  private timestampMs = NO_TIMESTAMP;

  constructor(memory: HeldMemory) {
    this.queue = new ByteQueue(memory);
  }

  /** Bytes that were not handed over yet. */
  get length(): number {
    return this.queue.length;
  }

  /** The bytes that are put next belong to a request that was captured at this time. */
  noteTimestamp(timestampMs: number): void {
    if (this.timestampMs === NO_TIMESTAMP) this.timestampMs = timestampMs;
  }

  put(bytes: Uint8Array, offset: number, length: number): void {
    this.queue.push(bytes, offset, length);
    this.position += length;
  }

  putSettings(settings: readonly (readonly [name: number, value: number])[]): void {
    settings.forEach(([name, value], place) => {
      const at = FRAME_HEADER_LEN + place * SETTING_LEN;
      scratch[at] = name >>> 8;
      scratch[at + 1] = name;
      writeWord(scratch, at + 2, value);
    });
    this.putShort(settings.length * SETTING_LEN, FrameType.SETTINGS, 0, 0);
  }

  putSettingsAcknowledgment(): void {
    this.putShort(0, FrameType.SETTINGS, Flag.ACK, 0);
  }

  putPingAcknowledgment(payload: Uint8Array): void {
    scratch.set(payload.subarray(0, PING_LEN), FRAME_HEADER_LEN);
    this.putShort(PING_LEN, FrameType.PING, Flag.ACK, 0);
  }

  putReset(stream: number, code: number): void {
    writeWord(scratch, FRAME_HEADER_LEN, code);
    this.putShort(RST_STREAM_LEN, FrameType.RST_STREAM, 0, stream);
  }

  putWindowUpdate(stream: number, increment: number): void {
    writeWord(scratch, FRAME_HEADER_LEN, increment);
    this.putShort(WINDOW_UPDATE_LEN, FrameType.WINDOW_UPDATE, 0, stream);
  }

  /** Puts the encoder's block, in as many frames as it needs. */
  putBlock({ block, length }: HpackEncoder, stream: number, endsStream: boolean, frameBytesMax: number): void {
    let type: number = FrameType.HEADERS;
    for (let at = 0; at < length || type === FrameType.HEADERS;) {
      const taken = Math.min(length - at, frameBytesMax);
      const flags =
        (at + taken === length ? Flag.END_HEADERS : 0) |
        (type === FrameType.HEADERS && endsStream ? Flag.END_STREAM : 0);
      this.putHeader(taken, type, flags, stream);
      this.put(block, at, taken);
      at += taken;
      type = FrameType.CONTINUATION;
    }
  }

  /** Puts one frame with the next bytes of a request, of its array from `offset` on. */
  putData({ long, bytes }: Request, offset: number, length: number, stream: number, endsStream: boolean): void {
    this.putHeader(length, FrameType.DATA, endsStream ? Flag.END_STREAM : 0, stream);
    if (long === null) return this.put(bytes, offset, length);
    for (let left = length; left > 0;) {
      const taken = Math.min(left, long.firstLength);
      this.put(long.bytes, long.offset, taken);
      long.consume(taken);
      left -= taken;
    }
  }

  /** Gives all to the upstream. Returns whether there was something. */
  hand(upstream: Upstream): boolean {
    const hasSome = this.queue.length > 0;
    if (hasSome) upstream.writeQueue(this.queue, this.timestampMs);
    this.timestampMs = NO_TIMESTAMP;
    return hasSome;
  }

  clear(): void {
    this.queue.clear();
  }

  private putHeader(length: number, type: number, flags: number, stream: number): void {
    writeFrameHeader(scratch, 0, length, type, flags, stream);
    this.put(scratch, 0, FRAME_HEADER_LEN);
  }

  /** Puts a frame with its payload already in {@link scratch}. */
  private putShort(length: number, type: number, flags: number, stream: number): void {
    writeFrameHeader(scratch, 0, length, type, flags, stream);
    this.put(scratch, 0, FRAME_HEADER_LEN + length);
  }
}
