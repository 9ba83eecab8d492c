/** The service's responses byte by byte, and servers that send them. */

import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

const servers: Server[] = [];

/** Close all servers; call this after each test. */
export function closeServers(): void {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
}

/** Start a server and return its address. */
export async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A response with these outputs in Triton's format. */
export function answer(
  faces: number,
  change: (outputs: Record<string, unknown>[]) => void = () => {},
) {
  const floats = (name: string, shape: number[], value: number) => {
    const data = Buffer.alloc(4 * shape.reduce((a, b) => a * b, 1));
    for (let at = 0; at < data.length; at += 4) data.writeFloatLE(value, at);
    return { name, datatype: "FP32", shape, data };
  };
  const size = Buffer.alloc(8);
  size.writeInt32LE(640, 0);
  size.writeInt32LE(480, 4);
  const models = ["d@1", "e@2"].map((id) =>
    Buffer.concat([Buffer.from([id.length, 0, 0, 0]), Buffer.from(id)]),
  );
  const outputs = [
    floats("boxes", [faces, 4], 1.5),
    { name: "models", datatype: "BYTES", shape: [2], data: Buffer.concat(models) },
    floats("landmarks", [faces, 5, 2], 2.5),
    floats("scores", [faces], 0.75),
    floats("embeddings", [faces, 512], 0.25),
    { name: "image_size", datatype: "INT32", shape: [2], data: size },
    floats("quality", [faces], 0.625),
    floats("quality_parts", [faces, 17], 0.5), // one more than this client knows
    floats("calibration", [6], 0.125),
  ];
  change(outputs);
  const header = Buffer.from(
    JSON.stringify({
      outputs: outputs.map(({ data, ...rest }) => ({
        ...rest,
        parameters: { binary_data_size: data.length },
      })),
    }),
  );
  return { header, body: Buffer.concat([header, ...outputs.map(({ data }) => data)]) };
}

/** The address of a server whose responses all have two faces. */
export async function answering(change?: (outputs: never[]) => void): Promise<string> {
  const { header, body } = answer(2, change as never);
  return serve((_, response) => {
    response.setHeader("inference-header-content-length", header.length).end(body);
  });
}

/** Add the output `gate`: -1 for a recognizable face, else the column of its defect. */
export const gated =
  (...columns: number[]) =>
  (outputs: Record<string, unknown>[]) => {
    const data = Buffer.from(Int32Array.from(columns).buffer);
    outputs.push({ name: "gate", datatype: "INT32", shape: [columns.length], data });
  };
