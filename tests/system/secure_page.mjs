// Opens a page over HTTPS in Debian's Chromium, lets it fetch paths of the same site, and tells as one line of JSON what the browser knows of the
// connection, each body's digest, and how it refuses a site it does not trust.
//
//   node secure_page.mjs '{"chromium": "...", "address": "127.0.0.1", "trusted": ["digest of a key"], "page": "https://...", "paths": ["/a"],
//                          "untrusted": "https://..."}'
//
// All names lead to `address`; keys in `trusted` are believed without an authority.

import { chromium } from 'playwright-core';

const asked = JSON.parse(process.argv[2]);
const browser = await chromium.launch({
  executablePath: asked.chromium, headless: true, timeout: 30_000,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--no-proxy-server', `--host-resolver-rules=MAP * ${asked.address}`,
    `--ignore-certificate-errors-spki-list=${asked.trusted.join(',')}`],
});
try {
  const page = await (await browser.newContext()).newPage();
  const response = await page.goto(asked.page, { timeout: 30_000 });
  const security = await response.securityDetails();
  const fetched = await page.evaluate((paths) => Promise.all(paths.map(async (path) => {
    const bytes = await (await fetch(path, { cache: 'no-store' })).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    const [entry] = performance.getEntriesByName(new URL(path, location.href).href);
    return { digest: [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join(''), protocol: entry.nextHopProtocol };
  })), asked.paths);
  const refusal = await page.goto(asked.untrusted, { timeout: 30_000 }).then(() => 'trusted', (error) => error.message);
  console.log(JSON.stringify({ security, fetched, untrusted: refusal.match(/net::\w+/)?.[0] ?? refusal }));
} finally {
  await browser.close();
}
