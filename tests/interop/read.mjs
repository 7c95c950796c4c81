// Helia as its documentation sets it up for gateways on the LAN: one router, plain HTTP.
// node read.mjs ROUTER CID PATH OFFSET LENGTH: writes what it read to standard output; LENGTH 0 is "to the end".
import { createHeliaLight } from 'helia'
import { withHTTP } from '@helia/http'
import { unixfs } from '@helia/unixfs'
import { CID } from 'multiformats/cid'

// Helia 7.1 stops asking for providers once the first has given a block, and thereby cancels a stream that is being read,
// which Node reports as an error nobody catches. Whatever else goes wrong still ends this script.
process.on('uncaughtException', error => {
  if (error.code !== 'ERR_INVALID_STATE') {
    console.error(error)
    process.exit(1)
  }
})

const [router, cid, path, offset, length] = process.argv.slice(2)
const node = withHTTP(createHeliaLight(), {
  delegatedRouters: [router], recursiveGateways: [], allowInsecure: true, allowLocal: true
})
const helia = await node.start()
const range = { path: path || undefined, offset: Number(offset) }
if (Number(length) > 0) range.length = Number(length)
for await (const part of unixfs(helia).cat(CID.parse(cid), range)) {
  if (!process.stdout.write(part)) await new Promise(resolve => process.stdout.once('drain', resolve))
}
await helia.stop()
process.exit(0)
