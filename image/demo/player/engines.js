// hls.js and Shaka behind one face: load a rendition of a track, say what each segment's response was, go away without trace.
// A player is given exactly one rendition and never switches by itself: what is heard is what was chosen.

const SEGMENT = /\.(m4s|mp4)(\?|$)/;

function script(url) {
  return new Promise((resolve, reject) => {
    const element = document.createElement('script');
    element.src = url;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`${url} could not be loaded`));
    document.head.append(element);
  });
}

class HlsEngine {
  static label = 'hls.js';
  static async prepare() { if (!window.Hls) await script('lib/hls.min.js'); }

  constructor(audio, report) {
    this.audio = audio;
    this.report = report;
  }

  // Begins at `at` seconds; resolves when the rendition is chosen.
  load(track, rendition, at) {
    const { Events, ErrorTypes } = Hls;
    const hls = this.hls = new Hls({ autoStartLoad: false, maxBufferLength: 20, maxMaxBufferLength: 20, backBufferLength: 30 });
    const ready = new Promise((resolve, reject) => {
      let alone = false;
      hls.on(Events.MANIFEST_PARSED, () => {
        const index = hls.levels.findIndex((level) => level.url.some((url) => alone || url.includes(`/${rendition.name}/`)));
        if (index < 0) {
          reject(new Error(`hls.js does not offer ${rendition.label}`));
          return;
        }
        hls.startLevel = hls.loadLevel = index;
        hls.startLoad(at);
        resolve();
      });
      hls.on(Events.ERROR, (_, { fatal, type, details, error }) => {
        if (!fatal) return;
        if (type === ErrorTypes.MEDIA_ERROR && !this.recovered) {
          this.recovered = true;
          hls.recoverMediaError();
          return;
        }
        const trouble = new Error(`hls.js: ${details} ${error?.message ?? ''}`);
        reject(trouble);
        this.report.trouble(trouble);
      });
      hls.on(Events.FRAG_LOADED, (_, { frag, networkDetails }) => {
        const { loading, total } = frag.stats;
        this.report.segment({
          url: networkDetails?.responseURL || frag.url, bytes: total, started: loading.start, ms: loading.end - loading.start,
          cacheStatus: networkDetails?.getResponseHeader?.('cache-status') ?? null,
        });
      });
      hls.attachMedia(this.audio);
      // hls.js has no entry for IAMF in its list of audio codecs and drops the variant; its media playlist it plays.
      alone = rendition.codecs.startsWith('iamf');
      hls.loadSource(alone ? new URL(`${rendition.name}/media.m3u8`, track.hls).href : track.hls);
    });
    return ready;
  }

  async destroy() { this.hls?.destroy(); }
}

class ShakaEngine {
  static label = 'Shaka';
  static async prepare() {
    if (window.shaka) return;
    await script('lib/shaka-player.js');
    shaka.polyfill.installAll();
  }

  constructor(audio, report) {
    this.audio = audio;
    this.report = report;
  }

  async load(track, rendition, at) {
    const player = this.player = new shaka.Player();
    player.addEventListener('error', ({ detail }) => this.report.trouble(new Error(`Shaka: error ${detail.code} ${detail.message ?? ''}`)));
    await player.attach(this.audio);
    player.configure({
      abr: { enabled: false },
      preferredAudio: [{ codec: rendition.codecs, label: rendition.label, channelCount: rendition.channels }],
      streaming: { bufferingGoal: 20, bufferBehind: 30 },
    });
    player.getNetworkingEngine().registerResponseFilter((type, response) => {
      if (type !== shaka.net.NetworkingEngine.RequestType.SEGMENT || !SEGMENT.test(response.uri)) return;
      this.report.segment({
        url: response.uri, bytes: response.data.byteLength, started: performance.now() - (response.timeMs ?? 0),
        ms: response.timeMs ?? 0, cacheStatus: response.headers['cache-status'] ?? null,
      });
    });
    await player.load(track.dash, at);
    const chosen = player.getVariantTracks().find((variant) => variant.active);
    if (chosen?.originalAudioId !== rendition.name) {
      const wanted = player.getVariantTracks().find((variant) => variant.originalAudioId === rendition.name);
      if (!wanted) throw new Error(`Shaka does not offer ${rendition.label}`);
      player.selectVariantTrack(wanted, /* clearBuffer= */ true);
    }
  }

  async destroy() { await this.player?.destroy(); }
}

export const ENGINES = { hls: HlsEngine, shaka: ShakaEngine };
