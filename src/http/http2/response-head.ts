/** What is to be known of a response's header sections. */
import { ENTRY_OVERHEAD, type FieldSink } from "./hpack-decoder.ts";

/** How long all names and values may be that are kept. */
export const RESPONSE_LIST_BYTES_MAX = 256 << 10;

const STATUS = /^[1-9]\d\d$/;
const GRPC_STATUS = /^\d{1,2}$/;
/** RFC 9113, section 8.2.1: nowhere in a field. In one that has them all the same they are shown as they stand in URLs. */
const LINE_END = /[\0\r\n]/;
const LINE_ENDS = /[\0\r\n]/g;

/** Those whose values are looked at where no {@link ResponseHead.lines} are wanted. */
export const COUNTED_FIELDS: ReadonlySet<string> = new Set([":status", "grpc-status"]);

export class ResponseHead implements FieldSink {
  /** 0: it says none. */
  status = 0;
  /** -1: it says none. https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
  grpcStatus = -1;
  /** Its fields, a line each, where they are wanted; a character for each byte (latin1). */
  lines = "";
  /** Not all of its fields are in {@link lines}, for there are too many. */
  isTooLong = false;
  /** It has a field that is not known. */
  isUnknown = false;
  private wantsLines = false;
  private listBytes = 0;

  begin(wantsLines = false): void {
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
