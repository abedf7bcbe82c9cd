// Drives Debian's Chromium through the listening page: plays tracks for some seconds and tells what happened, as JSON.
//
//   node play.mjs '{"url": "http://127.0.0.1:8080/", "cases": [{"engine": "hls", "track": 0, "rendition": "flac-16-44", "seconds": 6}]}'
//
// Each case starts with an empty browser cache. For every response that carried media or a manifest, the digest of the bytes
// the browser received is in the result, so that the caller can hold them against the origin's files. One line a case.
// "trusted": the digest of a public key that https is believed with, though the browser knows no authority for it.

import { createHash } from 'node:crypto';
import { chromium } from 'playwright-core';

const START_UP_LIMIT_MS = 30_000;

const asked = JSON.parse(process.argv[2]);
// The tap that hears the first sample is for pages that are local or HTTPS; ours may be neither, on a link.
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--no-proxy-server']
  .concat(asked.url.startsWith('http:') ? `--unsafely-treat-insecure-origin-as-secure=${new URL(asked.url).origin}` : [])
  .concat(asked.trusted ? `--ignore-certificate-errors-spki-list=${asked.trusted}` : []);
const browser = await chromium.launch({
  executablePath: asked.chromium ?? '/usr/bin/chromium', headless: true, args: flags, timeout: 30_000,
});
try {
  for (const one of asked.cases) {
    console.log(JSON.stringify({ ...one, ...await play(one) }));
  }
} finally {
  await browser.close();
}

async function play({ engine, track, rendition, seconds, album }) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const responses = [];
  const complaints = [];
  page.on('response', (response) => {
    if (/\.(m4s|mp4|m3u8|mpd)$/.test(new URL(response.url()).pathname)) responses.push(digest(response));
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('requestfailed', (request) => {
    // A player that has enough, or is taken away, gives up requests by itself.
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
  });
  try {
    await page.goto(album ? `${asked.url}?album=${album}` : asked.url, { timeout: START_UP_LIMIT_MS });
    await page.waitForFunction(() => window.nearfield?.state.album || window.nearfield?.state.trouble, null, { timeout: START_UP_LIMIT_MS });
    await page.evaluate(({ engine, track, rendition }) => {
      Object.assign(window.nearfield.state, { engine, rendition });
      window.nearfield.play(track);
    }, { engine, track, rendition });
    await page.waitForFunction((until) => {
      const { state, audio } = window.nearfield;
      return state.trouble || (state.startupMs !== null && audio.currentTime >= until);
    }, seconds, { timeout: START_UP_LIMIT_MS + seconds * 2000, polling: 50 });
    if (asked.screenshot) await page.screenshot({ path: asked.screenshot, fullPage: true });
  } catch (error) {
    complaints.push(error.message.split('\n')[0]);
  }
  const heard = await page.evaluate(() => {
    const { state, audio } = window.nearfield ?? {};
    return state && {
      startupMs: state.startupMs, rebuffers: state.rebuffers, channels: state.channels, trouble: state.trouble,
      played: audio.currentTime, segments: state.segments.length, statuses: state.segments.map((segment) => segment.cacheStatus),
      protocols: [...new Set(['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type))
        .filter((entry) => /^https?:/.test(entry.name)).map((entry) => entry.nextHopProtocol).filter(Boolean))].sort(),
    };
  }).catch(() => null);
  const received = (await Promise.all(responses)).filter(Boolean);
  await context.close();
  return { ...heard, complaints, received };
}

async function digest(response) {
  const path = decodeURIComponent(new URL(response.url()).pathname);
  try {
    const body = await response.body();
    return { path, status: response.status(), bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') };
  } catch {
    return null;  // given up by the player before it was whole
  }
}
