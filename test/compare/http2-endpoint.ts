/** An endpoint's side of an HTTP/2 connection: it responds to each whole request as the request's talk says. */
import type { FrameListener } from "../../src/http/http2/frame-reader.ts";
import { FrameReader } from "../../src/http/http2/frame-reader.ts";
import { FrameType, Setting } from "../../src/http/http2/frames.ts";
import { HpackDecoder } from "../../src/http/http2/hpack-decoder.ts";
import { frame, PREFACE, word } from "../http/http2/client-frames.ts";
import { TableEncoder } from "../http/http2/table-encoder.ts";
import { setting } from "../forward/scripted-http2.ts";
import type { Random } from "../support/random.ts";
import { responseFrames } from "./http2-world.ts";
import type { Content } from "./world.ts";

const PLENTY = 1 << 30;
const BLOCK_BYTES_MAX = 1 << 16;
const FRAME_BYTES_MAX = 1 << 14;

export class Http2Side implements FrameListener {
  private readonly reader = new FrameReader(this, BLOCK_BYTES_MAX, FRAME_BYTES_MAX);
  private readonly decoder = new HpackDecoder();
  private readonly encoder: TableEncoder;
  private readonly methods = new Map<number, string>();
  private readonly paths = new Map<number, string>();
  private readonly ended: number[] = [];
  private prefaceLeft = PREFACE.length;

  constructor(
    private readonly random: Random,
    /** The response to a request whose path ends with the number; null: no response. */
    private readonly contentOf: (id: number) => Content | null,
  ) {
    this.encoder = new TableEncoder(random);
  }

  static readonly SETTINGS = Buffer.concat([
    frame(FrameType.SETTINGS, 0, 0, setting(Setting.INITIAL_WINDOW_SIZE, PLENTY)),
    frame(FrameType.WINDOW_UPDATE, 0, 0, word(PLENTY)),
  ]);

  take(bytes: Uint8Array): void {
    const skipped = Math.min(this.prefaceLeft, bytes.length);
    this.prefaceLeft -= skipped;
    this.reader.push(bytes, skipped, bytes.length - skipped);
  }

  /** The endpoint's next frames: the responses to some of the requests. */
  say(): Buffer {
    const { random, ended } = this;
    const streams = ended.splice(0, random.int(0, ended.length)).map((stream) => {
      const content = this.contentOf(Number(this.paths.get(stream)!.split("/")[2]));
      const isHead = this.methods.get(stream) === "HEAD";
      return content === null ? [] : responseFrames(stream, content, isHead, this.encoder, random);
    });
    const all: Buffer[] = [];
    while (streams.some((frames) => frames.length > 0)) {
      const made = random.pick(streams).shift();
      if (made !== undefined) all.push(made());
    }
    return Buffer.concat(all);
  }

  headers(stream: number, block: Buffer, length: number, endsStream: boolean): void {
    const field = (name: string, value: string): void => {
      if (name === ":path") this.paths.set(stream, value);
      if (name === ":method") this.methods.set(stream, value);
    };
    this.decoder.decode(block, length, { field, unknownField() {} });
    if (endsStream) this.ended.push(stream);
  }

  dataEnd(stream: number, _length: number, endsStream: boolean): void {
    if (endsStream) this.ended.push(stream);
  }

  reset(stream: number): void {
    const at = this.ended.indexOf(stream);
    if (at >= 0) this.ended.splice(at, 1);
  }

  malformed(): void {
    throw new Error("what the program says is malformed");
  }

  data(): void {}
  dataLost(): void {}
  headersLost(): void {}
  promise(): void {}
  setting(): void {}
  settingsEnd(): void {}
  ping(): void {}
  goAway(): void {}
  windowUpdate(): void {}
}
