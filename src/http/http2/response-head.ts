/** Reads a response's header and trailer sections. */
import { ENTRY_OVERHEAD, type FieldSink } from "./hpack-decoder.ts";

/** The longest header block of a server, as it is encoded. */
export const RESPONSE_BLOCK_BYTES_MAX = 64 << 10;
/** The most bytes of names and values that are kept. */
export const RESPONSE_LIST_BYTES_MAX = 256 << 10;

const STATUS = /^[1-9]\d\d$/;
const GRPC_STATUS = /^\d{1,2}$/;
/** RFC 9113, section 8.2.1: these bytes may stand nowhere in a field. If they do, they are shown percent-encoded. */
const LINE_END = /[\0\r\n]/;
const LINE_ENDS = /[\0\r\n]/g;

/** The fields whose values are read even if {@link ResponseHead.lines} are not wanted. */
export const COUNTED_FIELDS: ReadonlySet<string> = new Set([":status", "grpc-status"]);

/** One section of a response. One object serves all sections of a framer. */
export class ResponseHead implements FieldSink {
  /** The status code; 0: the section has none. */
  status = 0;
  /** The gRPC status; -1: the section has none. https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
  grpcStatus = -1;
  /** The fields, one on a line, if they are wanted; a character for each byte (latin1). */
  lines = "";
  /** Some fields are not in {@link lines}, because there are too many. */
  isTooLong = false;
  /** The section has a field that is not known. */
  isUnknown = false;
  private wantsLines = false;
  private listBytes = 0;

  begin(wantsLines: boolean): void {
    this.status = 0;
    this.grpcStatus = -1;
    this.lines = "";
    this.isTooLong = false;
    this.isUnknown = false;
    this.wantsLines = wantsLines;
    this.listBytes = 0;
  }

  field(name: string, value: string): void {
    if (name === ":status") this.status = STATUS.test(value) ? Number(value) : 0;
    else if (name === "grpc-status") this.grpcStatus = GRPC_STATUS.test(value) ? Number(value) : -1;
    if (this.wantsLines && name !== ":status") this.keep(name, value);
  }

  unknownField(): void {
    this.isUnknown = true;
  }

  private keep(name: string, value: string): void {
    this.listBytes += name.length + value.length + ENTRY_OVERHEAD;
    if (this.listBytes > RESPONSE_LIST_BYTES_MAX) this.isTooLong = true;
    else this.lines += `${asOneLine(name)}: ${asOneLine(value)}\r\n`;
  }
}

function asOneLine(text: string): string {
  return LINE_END.test(text) ? text.replace(LINE_ENDS, encodeURIComponent) : text;
}
