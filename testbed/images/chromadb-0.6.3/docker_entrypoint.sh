#!/bin/bash
# The arguments hold variables, as in the official image, and are expanded here.
set -e
export IS_PERSISTENT=1 CHROMA_SERVER_NOFILE=65535
exec uvicorn chromadb.app:app $(eval echo "$@")
