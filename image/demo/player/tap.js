// Runs on the audio thread: reports the first sample that is not silence after it was armed, and the level of each channel.
// Sound passes through unchanged. It arms itself only on a quantum of silence, so that the end of what played before is not
// taken for the beginning of what comes.

const REPORT_EVERY = 24;  // quanta of 128 frames, about 15 reports a second

class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.state = 'idle';
    this.quanta = 0;
    this.peaks = [];
    this.port.onmessage = ({ data }) => {
      this.state = 'arming';
      this.arming = data.arm;
    };
  }

  process([input], [output]) {
    let loudest = 0;
    for (let channel = 0; channel < input.length; channel++) {
      const samples = input[channel];
      output[channel]?.set(samples);
      let peak = 0;
      for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
      this.peaks[channel] = Math.max(this.peaks[channel] ?? 0, peak);
      loudest = Math.max(loudest, peak);
    }
    if (this.state === 'arming' && loudest === 0) {
      this.state = 'armed';
      this.port.postMessage({ armed: this.arming });
    } else if (this.state === 'armed' && loudest > 0) {
      this.state = 'idle';
      this.port.postMessage({ firstSample: this.arming, channels: input.length });
    }
    if (++this.quanta % REPORT_EVERY === 0) {
      this.port.postMessage({ peaks: this.peaks.slice(0, input.length) });
      this.peaks = [];
    }
    return true;
  }
}

registerProcessor('nearfield-tap', Tap);
