/**
 * Loaded before the command line: every host name is the server of the test, and so is port 5432 wherever it is. So a file can be run as it
 * stands in a document, with hosts and ports that no test can have.
 */
import dns from 'node:dns/promises'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { env } from 'node:process'

const { TEST_SERVER_HOST: host = '', TEST_SERVER_PORT: port } = env
const { connect } = net.Socket.prototype

Object.assign(dns, { lookup: () => Promise.resolve([{ address: host, family: 4 }]) })
Object.assign(net.Socket.prototype, {
  /**
   * @this {net.Socket}
   * @param {{ port?: unknown } | { port?: unknown }[]} options Node hands them on as the first of an array.
   * @param {unknown[]} rest
   */
  connect(options, ...rest) {
    const stated = Array.isArray(options) ? options[0] : options
    if (Number(stated?.port) === 5432) Object.assign(stated ?? {}, { host, port: Number(port) })
    return /** @type {unknown} */ (Reflect.apply(connect, this, [options, ...rest]))
  },
})
syncBuiltinESMExports()
