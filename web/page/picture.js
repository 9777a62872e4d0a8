// @ts-check
// Pictures from wherever a visitor has them.

/** @typedef {import('./types').PictureData} PictureData */

/** More bytes than any picture's file. */
const MOST_BYTES = 256 * 2 ** 20;
/** What musev decodes itself, so that the result is the same as everywhere else. */
const DECODED_BY_MUSEV = /^image\/(png|jpeg|webp|gif|bmp|x-ms-bmp)$/;
/** The longer side at which other pictures are handed over. */
const LONGEST_SIDE = 2048;

/**
 * What the worker takes of `file`, and whether the browser can show it.
 * @param {File} file
 * @returns {Promise<PictureData>}
 */
export async function read(file) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} is too large for a picture`);
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name || 'this'} is no picture that can be read; take a PNG, JPEG, WebP, GIF or BMP`);
  });
  if (DECODED_BY_MUSEV.test(file.type)) {
    bitmap.close();
    return { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) };
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.max(1, bitmap.width * scale), Math.max(1, bitmap.height * scale));
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.fillStyle = 'white';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const { width, height, data } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { width, height, rgba: data };
}

/**
 * Calls `take` with every picture that is dropped on `target`, pasted anywhere, or chosen in `input`.
 * @param {HTMLElement} target
 * @param {HTMLInputElement} input
 * @param {(file: File) => void} take
 */
export function accept(target, input, take) {
  const first = (/** @type {FileList | null | undefined} */ files) => {
    if (files?.[0]) take(files[0]);
  };
  input.addEventListener('change', () => {
    first(input.files);
    // The same file may be chosen again.
    input.value = '';
  });
  target.addEventListener('dragover', (event) => {
    event.preventDefault();
    target.classList.add('over');
  });
  target.addEventListener('dragleave', () => target.classList.remove('over'));
  target.addEventListener('drop', (event) => {
    event.preventDefault();
    target.classList.remove('over');
    first(event.dataTransfer?.files);
  });
  document.addEventListener('paste', (event) => {
    const files = event.clipboardData?.files;
    if (!files?.length) return;
    event.preventDefault();
    first(files);
  });
}

/**
 * Shows the camera in `dialog` until a picture is taken or the dialog is closed.
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<File | undefined>}
 */
export async function photograph(dialog) {
  if (!navigator.mediaDevices) throw new Error('this browser gives no camera to this page');
  const stream = await navigator.mediaDevices.getUserMedia({ video: true }).catch(() => {
    throw new Error('no camera was found, or the browser was told not to give it');
  });
  const video = /** @type {HTMLVideoElement} */ (dialog.querySelector('video'));
  video.srcObject = stream;
  await video.play();
  dialog.returnValue = '';
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener('close', closed, { once: true }));
  /** @type {Blob | null} */
  let photo = null;
  if (dialog.returnValue === 'take') {
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext('2d')?.drawImage(video, 0, 0);
    photo = await new Promise((made) => canvas.toBlob(made, 'image/png'));
  }
  video.srcObject = null;
  for (const track of stream.getTracks()) track.stop();
  return photo ? new File([photo], 'camera.png', { type: 'image/png' }) : undefined;
}
