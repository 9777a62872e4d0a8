// Serves the folder `dist` on loopback: `npm run serve -- [PORT]`.
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const KINDS = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.md': 'text/markdown; charset=utf-8',
};

/** A server of the files in `folder`, with ranges; `alter` may answer in its place. */
export function serve(folder, port = 0, alter = () => false) {
  const server = createServer((request, response) => {
    if (alter(request, response)) return;
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    const file = join(folder, path.endsWith(sep) ? `${path}index.html` : path);
    let size;
    try {
      const found = statSync(file);
      if (!found.isFile() || !file.startsWith(folder + sep)) throw new Error('not ours');
      size = found.size;
    } catch {
      response.writeHead(404).end('not found');
      return;
    }
    const headers = { 'content-type': KINDS[extname(file)] ?? 'application/octet-stream', 'accept-ranges': 'bytes' };
    const from = Number(request.headers.range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0);
    if (from > 0 && from < size) {
      response.writeHead(206, { ...headers, 'content-length': size - from, 'content-range': `bytes ${from}-${size - 1}/${size}` });
    } else {
      response.writeHead(200, { ...headers, 'content-length': size });
    }
    createReadStream(file, { start: from < size ? from : 0 }).pipe(response);
  });
  return new Promise((ready) => server.listen(port, '127.0.0.1', () => ready(server)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dist');
  const server = await serve(dist, Number(process.argv[2] ?? 8080));
  console.log(`http://127.0.0.1:${server.address().port}/`);
}
