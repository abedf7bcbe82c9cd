// The listening page: an album, a choice of rendition and player, and what the node said about each segment.

import { ENGINES } from './engines.js';
import { Sound } from './sound.js';

const $ = (id) => document.getElementById(id);
const audio = $('audio');
const sound = new Sound(audio);
const CHANNEL_NAMES = { 1: ['M'], 2: ['L', 'R'], 6: ['L', 'R', 'C', 'LFE', 'Ls', 'Rs'] };
const ROWS_KEPT = 200;
const WHERE_FROM = { hit: 'node’s cache', miss: 'origin', own: 'kept by this browser', bad: 'no Cache-Status in the answer' };

// What is on, and what was measured; `window.nearfield` shows it to whoever drives this page.
const state = {
  album: null, track: -1, rendition: null, engine: 'hls', player: null, generation: 0,
  startupMs: null, rebuffers: 0, sounding: false, channels: 0, segments: [], trouble: null, loading: false,
};

// --- the album ---------------------------------------------------------------------------------------------------------

const SIGNED = new URLSearchParams(location.search).get('album') === 'signed';
const LISTING = SIGNED ? 'signed.json' : 'album.json';

// The album with absolute addresses. Those of the signed one hold for an hour after the listing was asked for.
async function listing() {
  const answer = await fetch(LISTING, { cache: 'no-store' });
  if (!answer.ok) throw new Error(`${LISTING}: the node answered ${answer.status}`);
  const album = await answer.json();
  const base = new URL(album.base, document.baseURI);
  album.cover = new URL(album.cover, base).href;
  for (const track of album.tracks) {
    track.hls = new URL(track.hls, base).href;
    track.dash = new URL(track.dash, base).href;
  }
  return album;
}

async function open() {
  const album = state.album = await listing();
  document.title = `${album.title} · Nearfield`;
  $('cover').src = album.cover;
  $('cover').alt = `Cover of ${album.title}`;
  $('album-title').textContent = album.title;
  $('album-artist').textContent = album.artist;
  $('other-album').hidden = !album.signed && !SIGNED;
  $('other-album').href = SIGNED ? '?' : '?album=signed';
  $('other-album').textContent = SIGNED ? 'signed addresses; play without' : 'play with signed addresses';
  $('tracks').replaceChildren(...album.tracks.map((track, index) => {
    const item = document.createElement('li');
    const button = document.createElement('button');
    const name = Object.assign(document.createElement('span'), { className: 'name', textContent: track.title });
    name.append(Object.assign(document.createElement('small'), { textContent: track.artist }));
    button.append(Object.assign(document.createElement('span'), { className: 'number', textContent: index + 1 }), name,
      Object.assign(document.createElement('span'), { className: 'length', textContent: clock(track.duration_s) }));
    button.onclick = () => play(index);
    item.append(button);
    return item;
  }));
  drawChoices();
  $('remaining').textContent = clock(album.tracks[0].duration_s);
}

function drawChoices() {
  const track = state.album.tracks[Math.max(0, state.track)];
  if (!track.renditions.some((one) => one.name === state.rendition)) state.rendition = track.renditions[0].name;
  $('renditions').replaceChildren(...track.renditions.map((one) => {
    const can = MediaSource.isTypeSupported(`audio/mp4; codecs="${one.codecs}"`);
    return chip(one.label, one.name === state.rendition, can, () => choose({ rendition: one.name }),
      can ? `${Math.round(one.average_bits / 1000).toLocaleString('en')} kbit/s` : 'this browser does not decode it');
  }));
  $('engines').replaceChildren(...Object.entries(ENGINES).map(([name, { label }]) =>
    chip(label, name === state.engine, true, () => choose({ engine: name }), name === 'hls' ? 'plays the HLS playlists' : 'plays the DASH manifest')));
}

function chip(text, pressed, enabled, onclick, title) {
  const button = Object.assign(document.createElement('button'), { textContent: text, title, disabled: !enabled, onclick });
  button.setAttribute('aria-pressed', pressed);
  return button;
}

// --- playing -------------------------------------------------------------------------------------------------------------

function choose(change) {
  Object.assign(state, change);
  drawChoices();
  return state.track >= 0 ? play(state.track, audio.currentTime) : undefined;
}

// Plays a track from `at` seconds; a later call wins over one that is still under way.
async function play(index, at = 0) {
  const generation = ++state.generation;
  if (SIGNED) {
    try {
      state.album = await listing();
    } catch (error) {
      if (generation === state.generation) showTrouble(error);
      return;
    }
    if (generation !== state.generation) return;
  }
  const track = state.album.tracks[index];
  Object.assign(state, { track: index, startupMs: null, rebuffers: 0, sounding: false, channels: 0, segments: [], trouble: null, loading: true });
  drawChoices();
  const rendition = track.renditions.find((one) => one.name === state.rendition);
  [...$('tracks').querySelectorAll('button')].forEach((button, one) => button.setAttribute('aria-current', one === index));
  $('segments').replaceChildren();
  $('trouble').hidden = true;
  drawNumbers();
  try {
    await sound.open();
    audio.pause();
    const former = state.player;
    state.player = null;
    await former?.destroy();
    audio.removeAttribute('src');
    audio.load();
    const Engine = ENGINES[state.engine];
    await Engine.prepare();
    await sound.arm();
    if (generation !== state.generation) return;

    const report = {
      segment: (one) => setTimeout(() => generation === state.generation && addSegment(one), 30),  // its timing entry comes after it
      trouble: (error) => generation === state.generation && showTrouble(error),
    };
    const player = state.player = new Engine(audio, report);
    const began = performance.now();
    sound.firstSample().then((heard) => {
      if (generation !== state.generation) return;
      state.startupMs = heard - began;
      state.channels = sound.channels;
      drawNumbers();
    });
    const loading = player.load(track, rendition, at);
    const started = audio.play();  // at once: the element begins when there is something to play
    started?.catch(() => {});
    await loading;
    if (generation !== state.generation) return;
    await audio.play();
  } catch (error) {
    if (generation === state.generation && error.name !== 'AbortError') showTrouble(error);
  } finally {
    if (generation === state.generation) state.loading = false;
  }
}

function step(by) {
  const index = state.track + by;
  if (index >= 0 && index < state.album.tracks.length) play(index);
}

audio.addEventListener('playing', () => { state.sounding = true; });
audio.addEventListener('waiting', () => {
  // Waiting before the first sound is start-up, and at a jump or the very end it is not the network's doing.
  if (!state.sounding || audio.seeking || audio.duration - audio.currentTime < 0.3) return;
  state.rebuffers++;
  drawNumbers();
});
audio.addEventListener('seeking', () => { state.sounding = false; });
audio.addEventListener('ended', () => step(1));
for (const event of ['play', 'pause', 'emptied', 'ended']) {
  audio.addEventListener(event, () => {
    document.body.classList.toggle('playing', !audio.paused);
    $('toggle').setAttribute('aria-label', audio.paused ? 'Play' : 'Pause');
  });
}
$('toggle').onclick = async () => {
  if (state.track < 0) return play(0);
  await sound.open();
  return audio.paused ? audio.play() : audio.pause();
};
$('previous').onclick = () => (audio.currentTime > 3 ? seekTo(0) : step(-1));
$('next').onclick = () => step(1);

function seekTo(seconds) {
  if (Number.isFinite(audio.duration)) audio.currentTime = Math.max(0, Math.min(seconds, audio.duration - 0.05));
}
$('seek').onpointerdown = (event) => {
  const bar = $('seek').getBoundingClientRect();
  const seek = ({ clientX }) => seekTo((clientX - bar.left) / bar.width * audio.duration);
  seek(event);
  $('seek').setPointerCapture(event.pointerId);
  $('seek').onpointerup = (up) => { seek(up); $('seek').onpointerup = null; };
};
$('seek').onkeydown = ({ key }) => {
  if (key === 'ArrowLeft') seekTo(audio.currentTime - 5);
  if (key === 'ArrowRight') seekTo(audio.currentTime + 5);
};

// --- what is shown -------------------------------------------------------------------------------------------------------

function drawPosition() {
  const track = state.album?.tracks[Math.max(0, state.track)];
  if (track) {
    const length = Number.isFinite(audio.duration) ? audio.duration : track.duration_s;
    const ahead = bufferedUntil();
    $('elapsed').textContent = clock(audio.currentTime);
    $('remaining').textContent = clock(length);
    $('seek').querySelector('.played').style.width = `${audio.currentTime / length * 100}%`;
    $('seek').querySelector('.buffered').style.width = `${Math.min(1, ahead / length) * 100}%`;
    $('seek').setAttribute('aria-valuemax', Math.round(length));
    $('seek').setAttribute('aria-valuenow', Math.round(audio.currentTime));
    $('buffer').textContent = state.track < 0 ? '–' : `${Math.max(0, ahead - audio.currentTime).toFixed(1)} s`;
  }
}
setInterval(drawPosition, 200);

function bufferedUntil() {
  for (let index = 0; index < audio.buffered.length; index++) {
    if (audio.buffered.start(index) <= audio.currentTime + 0.2 && audio.buffered.end(index) > audio.currentTime) return audio.buffered.end(index);
  }
  return audio.currentTime;
}

function drawNumbers() {
  $('startup').textContent = state.startupMs === null ? '–' : `${Math.round(state.startupMs)} ms`;
  $('rebuffers').textContent = state.rebuffers;
  const sent = state.album?.tracks[state.track]?.renditions.find((one) => one.name === state.rendition)?.channels ?? 0;
  $('channels').textContent = sent > state.channels && state.channels > 0
    ? `${sent} channels arrive, this browser plays them as ${state.channels}` : '';
  const known = state.segments.filter((one) => ['hit', 'miss'].includes(kind(one)));
  $('hits').textContent = known.length ? `${Math.round(known.filter((one) => kind(one) === 'hit').length / known.length * 100)} %` : '–';
}

// Cache-Status (RFC 9211) lists caches from the origin's side to ours; the node nearest to us is the last.
function kind({ cacheStatus, own }) {
  if (own) return 'own';
  if (!cacheStatus) return 'bad';
  return /;\s*hit\b/.test(cacheStatus.split(',').at(-1)) ? 'hit' : 'miss';
}

// A segment that the browser kept from before never went to the node, though its headers tell of the time when it did.
performance.setResourceTimingBufferSize(4000);
function isFromBrowser(url) {
  const timing = performance.getEntriesByName(url).at(-1);
  return timing ? timing.transferSize === 0 && timing.decodedBodySize > 0 : false;
}

function addSegment(one) {
  one.own = isFromBrowser(one.url);
  state.segments.push(one);
  const row = document.createElement('tr');
  const cell = (text, className = '') => Object.assign(document.createElement('td'), { textContent: text, className });
  const status = cell(WHERE_FROM[kind(one)], `status ${kind(one)}`);
  if (one.cacheStatus && !one.own) {
    status.title = one.cacheStatus;
    status.append(Object.assign(document.createElement('small'), { textContent: one.cacheStatus }));
  }
  row.append(cell(new URL(one.url).pathname.split('/').slice(-2).join('/')), status, cell(`${(one.bytes / 1000).toFixed(0)} kB`, 'number'),
    cell(`${one.ms.toFixed(0)} ms`, 'number'), cell(one.ms > 0 ? `${(one.bytes * 8 / one.ms / 1000).toFixed(0)} Mbit/s` : '–', 'number rate'));
  $('segments').prepend(row);
  while ($('segments').rows.length > ROWS_KEPT) $('segments').lastElementChild.remove();
  drawNumbers();
}

function showTrouble(error) {
  state.trouble = error.message;
  $('trouble').textContent = error.message;
  $('trouble').hidden = false;
}

sound.onPeaks = (peaks) => {
  const names = CHANNEL_NAMES[peaks.length] ?? peaks.map((_, index) => String(index + 1));
  const meters = $('meters');
  if (meters.childElementCount !== peaks.length) {
    meters.replaceChildren(...names.map((name) => {
      const line = Object.assign(document.createElement('div'), { textContent: name });
      line.append(document.createElement('i'));
      return line;
    }));
  }
  peaks.forEach((peak, index) => {
    const decibels = 20 * Math.log10(Math.max(peak, 1e-4));
    meters.children[index].style.setProperty('--level', Math.max(0, 1 + decibels / 60).toFixed(3));
  });
};

function clock(seconds) {
  const whole = Math.floor((seconds || 0) + 0.05);  // players say 11.99 of what is 12
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

window.nearfield = { state, play, choose, audio };
open().catch((error) => showTrouble(error));
