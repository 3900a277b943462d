"""Parts of the reference system by themselves, where its scenarios see too little."""
