// The two decisions that nginx's own directives can't make (njs; Debian: libnginx-mod-http-js).

import crypto from 'crypto';
import fs from 'fs';

const BEARER = /^Bearer ([\x21-\x7e]{16,256})$/i;
const LINE = /^([A-Za-z0-9._-]{1,64})\s+([0-9a-f]{64})$/;
const MODELS = ['detect_faces', 'embed_face', 'analyze_faces'];
// A request has one field for each parameter, input, output and tensor, and a few more.
const MAX_FIELDS = 256;

// The id of the key in `Authorization: Bearer`. The file is read for each request, so that a key
// is accepted, or not any more, as soon as the file says so. "!" where it can't be read.
function keyId(r) {
    const given = BEARER.exec(r.headersIn.Authorization || '');
    if (!given) {
        return '';
    }
    let lines;
    try {
        lines = fs.readFileSync(r.variables.keys_file, 'utf8').split('\n');
    } catch (error) {
        r.error('the API keys cannot be read: ' + error.message);
        return '!';
    }
    const digest = crypto.createHash('sha256').update(given[1]).digest('hex');
    let found = '';
    // All keys, and all digits of each: the time taken tells nothing about which was near.
    for (let i = 0; i < lines.length; i++) {
        const key = LINE.exec(lines[i]);
        if (key && difference(key[2], digest) === 0) {
            found = key[1];
        }
    }
    return found;
}

function difference(one, other) {
    let bits = 0;
    for (let i = 0; i < 64; i++) {
        bits |= one.charCodeAt(i) ^ other.charCodeAt(i);
    }
    return bits;
}

// ModelInfer and ModelReady, of the public models only.
function grpc(r) {
    const name = modelName(r.requestBuffer || Buffer.alloc(0));
    if (name === null) {
        r.internalRedirect('/_edge/' + r.variables.speaks + '/400');
    } else if (MODELS.indexOf(name) < 0) {
        r.internalRedirect('/_edge/' + r.variables.speaks + '/model');
    } else {
        r.variables.model = name;
        r.internalRedirect('@triton');
    }
}

// Field 1 of the one message in a gRPC body, which is the model's name in ModelInferRequest and
// ModelReadyRequest (KServe's open_inference_grpc.proto); null where the body is anything but one
// uncompressed protobuf message. The last of several counts, as in protobuf's own parsers.
function modelName(body) {
    if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) {
        return null;
    }
    const reader = {body: body, at: 5};
    let name = '';
    for (let fields = 0; reader.at < body.length; fields++) {
        const tag = varint(reader, 5);
        if (tag === null || tag >= 4294967296 || fields === MAX_FIELDS) {
            return null;
        }
        const field = Math.floor(tag / 8);
        let length = 0;
        switch (tag % 8) {
        case 0:
            if (varint(reader, 10) === null) {
                return null;
            }
            break;
        case 1:
            length = 8;
            break;
        case 2:
            length = varint(reader, 5);
            if (length === null || length > body.length - reader.at) {
                return null;
            }
            if (field === 1) {
                name = body.toString('utf8', reader.at, reader.at + length);
            }
            break;
        case 5:
            length = 4;
            break;
        default:
            return null;
        }
        reader.at += length;
    }
    return reader.at === body.length ? name : null;
}

// protobuf's variable-length integer of at most `bytes` bytes; null where there is none.
function varint(reader, bytes) {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < bytes && reader.at < reader.body.length; i++) {
        const byte = reader.body[reader.at++];
        value += (byte % 128) * scale;
        scale *= 128;
        if (byte < 128) {
            return value;
        }
    }
    return null;
}

export default {keyId, grpc};
