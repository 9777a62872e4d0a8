// @ts-check
// H.264 by the browser's own encoder; musev puts the file around it.

/** Bits a pixel of each picture: enough that what was drawn is not seen to be compressed. */
const BITS_PER_PIXEL = 2;
/** Below this many bits a second encoders give small pictures too little. */
const LEAST_BIT_RATE = 2_000_000;
/** High, main and constrained baseline profile, at a level for up to 4096 x 2160. */
const CODECS = ['avc1.640033', 'avc1.4d0033', 'avc1.42e033'];

/**
 * @param {{ width: number, height: number }} size
 * @param {number} fps
 * @returns {Promise<VideoEncoderConfig | undefined>}
 */
export async function encoderFor({ width, height }, fps) {
  if (typeof VideoEncoder === 'undefined') return undefined;
  const bitrate = Math.max(LEAST_BIT_RATE, Math.round(width * height * fps * BITS_PER_PIXEL));
  for (const codec of CODECS) {
    /** @type {VideoEncoderConfig} */
    const config = {
      codec, width, height, bitrate, framerate: fps, latencyMode: 'quality', avc: { format: 'avc' },
    };
    if ((await VideoEncoder.isConfigSupported(config)).supported) return config;
  }
  return undefined;
}

/**
 * The bytes of an MP4 file.
 * @param {import('./musev.js').Clip} clip
 */
export async function compress(clip) {
  const file = clip.mp4();
  const config = await encoderFor(file, clip.fps);
  if (!config) throw new Error('this browser cannot compress H.264; take WebP or GIF instead');
  /** @type {Error | undefined} */
  let failure;
  const encoder = new VideoEncoder({
    output(chunk, metadata) {
      const description = metadata?.decoderConfig?.description;
      if (description) file.configure(bytesOf(description));
      const data = new Uint8Array(chunk.byteLength);
      chunk.copyTo(data);
      file.push(data, chunk.type === 'key');
    },
    error(error) {
      failure = error;
    },
  });
  encoder.configure(config);
  const micros = 1e6 / clip.fps;
  for (let index = 0; index < clip.length; index++) {
    const planes = clip.yuv(index, file);
    if (!planes) break;
    const frame = new VideoFrame(/** @type {Uint8Array<ArrayBuffer>} */ (planes), {
      format: 'I420',
      codedWidth: file.width,
      codedHeight: file.height,
      timestamp: Math.round(index * micros),
      duration: Math.round(micros),
      colorSpace: { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false },
    });
    encoder.encode(frame, { keyFrame: index % Math.ceil(clip.fps * 4) === 0 });
    frame.close();
  }
  await encoder.flush().catch((error) => { failure ??= error; });
  if (encoder.state !== 'closed') encoder.close();
  if (failure) throw failure;
  const bytes = file.finish();
  file.free();
  return bytes;
}

/** @param {AllowSharedBufferSource} source */
function bytesOf(source) {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);
}
