/**
 * How COPY data is wrapped on a connection: message type `d`, an int32 length that counts itself, payload. Known in two places,
 * where messages are cut and where rows are decoded, so that a run of messages can be decoded without a stop at each.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html, "CopyData"
 */

export const COPY_DATA_TYPE = 0x64
/** Type and length. */
export const COPY_DATA_HEADER_BYTES = 5
