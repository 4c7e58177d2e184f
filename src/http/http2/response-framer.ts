/**
 * Frames what an HTTP/2 server sends, in order and with gaps, into responses: each belongs to the request of its
 * stream. https://www.rfc-editor.org/rfc/rfc9113#section-8.1
 *
 * A gap that reaches beyond its frame damages every response that had begun before it. Nothing proves that the gap had
 * no header block, so the entries that blocks before it inserted are not known any more (hpack-decoder.ts). A response
 * is whole if its final head comes behind the gap, because it has only one.
 */
import { FINAL_CODE_MIN } from "../status-line.ts";
import { Http2Framer } from "./framer.ts";
import { RESPONSE_BLOCK_BYTES_MAX, ResponseHead } from "./response-head.ts";

/** A response that is awaited, or has begun. Bytes and sections given are valid until the call returns. */
export interface Http2Response {
  /** Its final head has come. */
  readonly isBegun: boolean;
  /** The final head is whole: the response has begun. */
  head(section: ResponseHead): void;
  /** Bytes of the response's body, without framing. */
  body(bytes: Uint8Array, offset: number, length: number): void;
  /** The response is whole. `trailer`: its trailer section; null: it has none. */
  whole(trailer: ResponseHead | null): void;
  /** The response is damaged. `isSeen`: some of it has come. */
  damaged(isSeen: boolean): void;
}

/** Gets the statuses of all final heads, also of responses that no request awaits. */
export interface Http2StatusSink {
  status(code: number): void;
}

/** The framer of one server's responses on a connection. */
export class Http2ResponseFramer extends Http2Framer {
  private readonly section = new ResponseHead();

  /**
   * `awaited`: responses by their streams; the framer removes a response when it is whole or damaged. `isLate`: the
   * first bytes may be in the middle of the server's bytes.
   */
  constructor(
    private readonly sink: Http2StatusSink,
    private readonly awaited: Map<number, Http2Response>,
    isLate: boolean,
  ) {
    super(RESPONSE_BLOCK_BYTES_MAX, true, isLate);
  }

  /** The connection has ended. */
  end(): void {
    this.reader.isOver = true;
    for (const [stream, response] of this.awaited) this.damage(stream, response, response.isBegun);
  }

  // The content of the frames (FrameListener).

  data(stream: number, bytes: Uint8Array, offset: number, length: number): void {
    const response = this.awaited.get(stream);
    if (response?.isBegun === true) response.body(bytes, offset, length);
  }

  dataLost(stream: number): void {
    this.damageSeen(stream);
  }

  dataEnd(stream: number, _length: number, endsStream: boolean): void {
    const response = this.awaited.get(stream);
    if (response === undefined) return;
    // Its head was lost.
    if (!response.isBegun) this.damageSeen(stream);
    else if (endsStream) this.finish(stream, response, null);
  }

  headers(stream: number, block: Buffer, length: number, endsStream: boolean): void {
    const { section } = this;
    const response = this.awaited.get(stream);
    section.begin(response !== undefined);
    if (!this.decoder.decode(block, length, section)) return this.malformed();
    if (section.status >= FINAL_CODE_MIN) this.sink.status(section.status);
    if (response === undefined) return;
    if (section.isUnknown) this.damageSeen(stream);
    else if (response.isBegun) this.trailer(stream, response, endsStream);
    else this.head(stream, response, endsStream);
  }

  headersLost(stream: number): void {
    this.decoder.lose();
    this.damageSeen(stream);
  }

  override promise(block: Buffer | null, length: number): void {
    if (block === null) return this.decoder.lose();
    this.section.begin(false);
    if (!this.decoder.decode(block, length, this.section)) this.malformed();
  }

  reset(stream: number): void {
    const response = this.awaited.get(stream);
    if (response !== undefined) this.damage(stream, response, response.isBegun);
  }

  /** The server has not processed requests of later streams, and never will. */
  override goAway(lastStream: number): void {
    for (const [stream, response] of this.awaited)
      if (stream > lastStream) this.damage(stream, response, response.isBegun);
  }

  malformed(): void {
    this.end();
  }

  protected skipped(): void {}
  protected missed(): void {}

  protected lost(): void {
    this.decoder.lose();
    for (const [stream, response] of this.awaited) if (response.isBegun) this.damage(stream, response, true);
  }

  private head(stream: number, response: Http2Response, endsStream: boolean): void {
    const { section } = this;
    const isInterim = section.status > 0 && section.status < FINAL_CODE_MIN;
    // A trailer section without its head, which was lost; or an interim response at the stream's end, which is not
    // allowed.
    if (section.status === 0 || (isInterim && endsStream)) return this.damageSeen(stream);
    if (isInterim) return;
    response.head(section);
    if (endsStream) this.finish(stream, response, null);
  }

  private trailer(stream: number, response: Http2Response, endsStream: boolean): void {
    if (this.section.status > 0 || !endsStream) this.damageSeen(stream);
    else this.finish(stream, response, this.section);
  }

  private finish(stream: number, response: Http2Response, trailer: ResponseHead | null): void {
    this.awaited.delete(stream);
    response.whole(trailer);
  }

  private damageSeen(stream: number): void {
    const response = this.awaited.get(stream);
    if (response !== undefined) this.damage(stream, response, true);
  }

  private damage(stream: number, response: Http2Response, isSeen: boolean): void {
    this.awaited.delete(stream);
    response.damaged(isSeen);
  }
}
