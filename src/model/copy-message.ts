/**
 * How rows are wrapped on a connection: a type, an int32 length that counts itself, payload. Known in two places, where messages
 * are cut and where rows are decoded, so that a run of messages can be decoded without a stop at each.
 *
 * The payload of a DataRow in binary format is, to the byte, that of a row of COPY BINARY.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html, "CopyData" and "DataRow"
 */

export const COPY_DATA_TYPE = 0x64
export const DATA_ROW_TYPE = 0x44
/** Type and length. */
export const COPY_DATA_HEADER_BYTES = 5
