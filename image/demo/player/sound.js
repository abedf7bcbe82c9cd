// The way from the audio element to the loudspeakers, with a tap in it that hears when sound begins. Where a browser has no
// AudioWorklet (pages that are neither local nor HTTPS), the element plays by itself and `playing` stands in for the tap.

export class Sound {
  constructor(element) {
    this.element = element;
    this.tap = null;
    this.onPeaks = () => {};
    this.channels = 0;
    this.waiters = { armed: null, first: null };
    this.arming = 0;
  }

  // Must be called from a click: browsers let no page make a sound before.
  async open() {
    if (this.context) {
      await this.context.resume();
      return;
    }
    if (!window.AudioWorkletNode || !window.isSecureContext) return;
    this.context = new AudioContext({ latencyHint: 'interactive' });
    this.context.destination.channelCount = Math.min(this.context.destination.maxChannelCount, 6);
    await this.context.audioWorklet.addModule('tap.js');
    this.tap = new AudioWorkletNode(this.context, 'nearfield-tap', { channelCountMode: 'max' });
    this.context.createMediaElementSource(this.element).connect(this.tap).connect(this.context.destination);
    this.tap.port.onmessage = ({ data }) => this.hear(data);
    await this.context.resume();
  }

  // What the tap says. An answer to an earlier arm() may arrive after a later one was asked: it counts for nothing.
  hear({ peaks, armed, firstSample, channels }) {
    if (peaks) this.onPeaks(peaks);
    if (armed === this.arming) this.waiters.armed?.();
    if (firstSample === this.arming) {
      this.channels = channels;
      this.waiters.first?.(performance.now());
    }
  }

  // Resolves when silence was heard; from then on `firstSample` waits for sound.
  async arm() {
    this.first = new Promise((resolve) => { this.waiters.first = resolve; });
    if (!this.tap) {
      this.element.addEventListener('playing', () => this.waiters.first(performance.now()), { once: true });
      return;
    }
    const armed = new Promise((resolve) => { this.waiters.armed = resolve; });
    this.tap.port.postMessage({ arm: ++this.arming });
    await armed;
  }

  // Resolves to the time (performance.now()) of the first sample after arm().
  firstSample() {
    return this.first;
  }
}
