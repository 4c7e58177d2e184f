/** What is to be known of a response's header sections. */
import type { FieldSink } from "./hpack-decoder.ts";

const STATUS = /^[1-9]\d\d$/;
const GRPC_STATUS = /^\d{1,2}$/;

export class ResponseHead implements FieldSink {
  /** 0: it says none. */
  status = 0;
  /** -1: it says none. https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
  grpcStatus = -1;

  begin(): void {
    this.status = 0;
    this.grpcStatus = -1;
  }

  field(name: string, value: string): void {
    if (name === ":status") this.status = STATUS.test(value) ? Number(value) : 0;
    else if (name === "grpc-status") this.grpcStatus = GRPC_STATUS.test(value) ? Number(value) : -1;
  }

  unknownField(): void {}
}
