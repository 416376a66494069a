"""Fields that open in a browser: a folder of files for any web server, in which the decoder itself runs."""
