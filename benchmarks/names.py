"""What is measured, as the raw rows and the report call it."""

SERVICE = "service, HTTP"
SERVICE_GRPC = "service, gRPC"
PEER = "peer"
PEER_SERVED = "peer over the served graphs"
ORCHESTRATED = "client-orchestrated, gRPC"
FLOOR = "plain floor"
FLOOR_SERVED = "served floor"

EMBEDDING = "face_embedding"
EMBEDDING_IN_PROCESS = "face_embedding's graph, in process"
DETECTION = "face_detection"
ALIGNED = "embed_face, aligned"
PHOTO = "analyze_faces"

MIXED = "mixed"
ONE_FACE = "one face"

WITHOUT_EDGE = "one server, no edge"
EDGE_ONE = "edge, one server"
EDGE_TWO = "edge, two servers"
EDGE_KILLED = "edge, two servers, one killed"
